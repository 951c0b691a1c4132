import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from plateid.bundles.download import download
from plateid.errors import BundleError
from tests.support.broker import free_port
from tests.support.certificates import Authority
from tests.support.file_server import FileServer
from tests.support.web_server import WebServer

DATA = os.urandom(1_000_000)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with closing(FileServer(**{"b.tar": DATA})) as made:
        yield made


def fetch(server: FileServer, *, limit: int = len(DATA), **options) -> bytes:
    return download(f"{server.url}/b.tar?token=secret", limit_bytes=limit, **options)


def test_download_returns_the_file_and_reports_progress(server):
    seen = []
    assert fetch(server, progress=lambda *state: seen.append(state)) == DATA
    assert (seen[0], seen[-1]) == ((0, len(DATA)), (len(DATA), len(DATA)))


def test_interrupted_download_is_an_error(server):
    server.break_after = 300_000
    with pytest.raises(BundleError, match=f"b.tar: connection lost at 300000 of {len(DATA)} bytes"):
        fetch(server)


def test_download_that_takes_too_long_is_an_error(server, monkeypatch):
    monkeypatch.setattr("plateid.bundles.download.TOTAL_TIMEOUT_S", -1)
    with pytest.raises(BundleError, match=r"b\.tar: takes longer than"):
        fetch(server)


@pytest.mark.parametrize("length", [True, False])
def test_file_larger_than_the_limit_is_refused(server, length):
    server.length = length
    with pytest.raises(BundleError, match=r"b.tar: is larger than 999,999 bytes"):
        fetch(server, limit=len(DATA) - 1)


def test_missing_file_and_unreachable_server_are_named_without_the_query(server):
    server.files.clear()
    with pytest.raises(
        BundleError, match=r"^http://127.0.0.1:\d+/b.tar: the server responds 404 Not Found$"
    ):
        fetch(server)
    with pytest.raises(BundleError, match=r"/b.tar: Connection refused"):
        download(f"http://127.0.0.1:{free_port()}/b.tar", limit_bytes=1)


def test_redirects_to_other_schemes_and_loops_are_refused(server, tmp_path):
    with closing(FileServer()) as first:
        first.location = f"{server.url}/b.tar"
        assert fetch(first) == DATA
        (tmp_path / "file").write_bytes(DATA)
        for elsewhere in ((tmp_path / "file").as_uri(), "ftp://127.0.0.1/b.tar", first.url):
            first.location = elsewhere
            with pytest.raises(BundleError, match=r"b.tar: "):
                fetch(first)


def test_untrusted_certificate_is_refused(tmp_path):
    with closing(WebServer(Authority(tmp_path).issue("127.0.0.1"))) as server:
        url = f"https://127.0.0.1:{server.port}/b.tar"
        with pytest.raises(BundleError, match=r"b.tar: its certificate is refused: "):
            download(url, limit_bytes=1)


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
def test_invalid_url_is_an_error(url, reason):
    with pytest.raises(BundleError, match=reason) as error:
        download(url, limit_bytes=1)
    assert "secret" not in str(error.value)
