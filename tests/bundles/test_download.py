import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from plateid.bundles.download import Download
from plateid.errors import BundleError
from tests.store.test_event_store import full_disk
from tests.support.broker import free_port
from tests.support.certificates import Authority
from tests.support.file_server import FileServer
from tests.support.web_server import WebServer

DATA = os.urandom(1_000_000)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with closing(FileServer(**{"b.tar": DATA})) as made:
        yield made


@pytest.fixture
def downloads(tmp_path) -> Path:
    return tmp_path / "downloads"


def fetch(server: FileServer, downloads: Path, *, limit: int = len(DATA)) -> bytes:
    return Download(f"{server.url}/b.tar?token=secret", downloads, limit=limit).fetch()


def broken_off(server: FileServer, downloads: Path, after: int) -> None:
    server.break_after = after
    with pytest.raises(BundleError, match=f"b.tar: broke off at {after} of {len(DATA)} bytes"):
        fetch(server, downloads)
    server.break_after = None


def test_a_file_comes_whole_with_its_progress_and_leaves_nothing_behind(server, downloads):
    seen = []
    download = Download(f"{server.url}/b.tar", downloads, limit=len(DATA))
    assert download.fetch(lambda *state: seen.append(state)) == DATA
    assert (seen[0], seen[-1]) == ((0, len(DATA)), (len(DATA), len(DATA)))
    assert list(downloads.iterdir()) == []


def test_what_broke_off_goes_on_where_it_was(server, downloads):
    broken_off(server, downloads, 300_000)
    assert fetch(server, downloads) == DATA
    assert server.asked == [None, "bytes=300000-"]


def test_a_file_that_has_changed_meanwhile_comes_anew(server, downloads):
    broken_off(server, downloads, 300_000)
    server.files["b.tar"], server.version = DATA[::-1], '"2"'
    assert fetch(server, downloads) == DATA[::-1]


@pytest.mark.parametrize("version", ["", 'W/"1"'])
def test_without_a_version_that_names_its_bytes_it_comes_anew(server, downloads, version):
    server.version = version
    broken_off(server, downloads, 300_000)
    assert fetch(server, downloads) == DATA
    assert server.asked == [None, None]


def test_what_was_complete_when_the_power_went_comes_anew(server, downloads):
    broken_off(server, downloads, 300_000)
    (part,) = downloads.glob("*.part")
    part.write_bytes(DATA)
    assert fetch(server, downloads) == DATA
    assert server.asked == [None, f"bytes={len(DATA)}-", None]


@pytest.mark.parametrize("length", [True, False])
def test_a_file_that_is_too_large_is_left_alone(server, downloads, length):
    server.length = length
    with pytest.raises(BundleError, match=r"b.tar: is larger than 999,999 bytes"):
        fetch(server, downloads, limit=len(DATA) - 1)
    assert list(downloads.iterdir()) == []


def test_a_server_that_is_away_or_has_no_such_file_is_named_without_the_query(server, downloads):
    server.files.clear()
    with pytest.raises(BundleError, match=r"^http://127.0.0.1:\d+/b.tar: answers 404 Not Found$"):
        fetch(server, downloads)
    with pytest.raises(BundleError, match=r"/b.tar: Connection refused"):
        Download(f"http://127.0.0.1:{free_port()}/b.tar", downloads, limit=1).fetch()


def test_redirects_lead_to_http_only(server, downloads, tmp_path):
    with closing(FileServer()) as first:
        first.location = f"{server.url}/b.tar"
        assert fetch(first, downloads) == DATA
        (tmp_path / "file").write_bytes(DATA)
        for elsewhere in ((tmp_path / "file").as_uri(), "ftp://127.0.0.1/b.tar", first.url):
            first.location = elsewhere
            with pytest.raises(BundleError, match=r"b.tar: "):
                fetch(first, downloads)


def test_a_certificate_of_nobody_is_refused(tmp_path, downloads):
    with closing(WebServer(Authority(tmp_path).issue("127.0.0.1"))) as server:
        url = f"https://127.0.0.1:{server.port}/b.tar"
        with pytest.raises(BundleError, match=r"b.tar: the server's certificate is refused: "):
            Download(url, downloads, limit=1).fetch()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://[/b.tar", "Invalid IPv6 URL"),
        ("http://user:secret@127.0.0.1/b.tar", "http://127.0.0.1/b.tar: .* not supported"),
        ("http:///b.tar", "no host given"),
        ("http://127.0.0.1:port/b.tar", "port"),
        ("http://a b/b.tar", "b.tar: "),
        (f"http://{'a' * 70}.invalid/b.tar", "b.tar: "),
    ],
)
def test_a_url_that_cannot_be_used_is_one_error(downloads, url, reason):
    with pytest.raises(BundleError, match=reason) as error:
        Download(url, downloads, limit=1).fetch()
    assert "secret" not in str(error.value)


def test_a_full_disk_is_one_error_and_is_not_left_full(server, downloads):
    downloads.mkdir()
    with full_disk(), pytest.raises(BundleError, match=r"downloads/.*part: File too large"):
        fetch(server, downloads)
    assert list(downloads.iterdir()) == []
