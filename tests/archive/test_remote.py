"""Recordings at URLs: a real S3 server and a real HTTP server on loopback."""

import functools
import http.client
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from plateid.archive.probe import identity
from plateid.archive.remote import find
from plateid.errors import ConfigError
from tests.support.archives import read_archive
from tests.support.broker import free_port
from tests.support.sighted import FPS, Vehicle, write_street

CHUNK_S = 10
SENT = Counter()
"""Number of times that the web server sent a path."""
FULL = """
mkdir "$1"
mount -t tmpfs -o size=8k tmpfs "$1"
"${@:2}"; echo "exit $?"
mount -o remount,size=90m "$1"
"${@:2}"; echo "exit $?"
"""
SHARED = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from plateid.archive.remote import local_copy
barrier = threading.Barrier(3)
def use(url):
    with local_copy(url, 10**9) as path:
        barrier.wait(60)
        return path
with ThreadPoolExecutor(3) as pool:
    print(*(len({*pool.map(use, [url] * 3)}) for url in sys.argv[1:]))
"""
"""Three readers of one copy at a time, of each URL."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two adjoining files of a camera and one of another, below a folder."""
    root = tmp_path_factory.mktemp("remote")
    vehicles = [Vehicle(0, 2), Vehicle(1, 10.5, y=56), Vehicle(2, 16, y=104)]
    for name, begin_s in (("gate/gate_20261124_091200", 0), ("gate/gate_20261124_091212", 12)):
        path = root / "in" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_street(path, vehicles, [begin_s + n / FPS for n in range(12 * FPS)])
    other = root / "in" / "the yard" / "yard_20261124_091200.mp4"
    other.parent.mkdir()
    write_street(other, [Vehicle(1, 1)], [n / FPS for n in range(6 * FPS)])
    (root / "in" / "gate" / "notes.txt").write_text("no video")
    (root / "in" / "secret").mkdir()
    return root / "in"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Lists and sends files; forbids one folder; one file has no stated size."""

    def do_GET(self):
        SENT[self.path] += 1
        if self.path != "/endless.mp4":
            super().do_GET()
            return
        self.send_response(200)
        self.end_headers()
        with suppress(ConnectionError):
            for _ in range(30):
                self.wfile.write(bytes(1_000_000))

    def send_head(self):
        if self.path.startswith("/secret"):
            self.send_error(403)
            return None
        return super().send_head()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def web(folder):
    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def s3(folder):
    """The endpoint of an S3 server that has the files in the bucket `recordings`, below `nvr`."""
    port = free_port()
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"127.0.0.1:{port}"
    try:
        put(endpoint, "/recordings")
        for path in folder.rglob("*.*"):
            name = path.relative_to(folder).as_posix().replace(" ", "%20")
            put(endpoint, f"/recordings/nvr/{name}", path.read_bytes())
        yield f"http://{endpoint}"
    finally:
        server.kill()
        server.wait()


def put(endpoint, path, body=b""):
    for _ in range(600):
        with closing(http.client.HTTPConnection(endpoint, timeout=10)) as connection:
            try:
                connection.request("PUT", path, body)
            except ConnectionError:  # it starts
                time.sleep(0.1)
            else:
                assert connection.getresponse().status == 200
                return


def read(bundle, out, cache, *sources, endpoint="", options=(), shell=()):
    words = [*shell, sys.executable, "-m", "plateid", "archive", "read", *sources, "--out", out]
    words += ["--bundle", bundle, "--chunk-s", str(CHUNK_S), "--workers", "1", *options]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "FSSPEC_S3_ENDPOINT_URL": endpoint}
    environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def rows(out):
    dropped = "source"
    return [
        {name: value for name, value in row.items() if name != dropped}
        for row in pq.read_table(out / "events.parquet").to_pylist()
    ]


@pytest.fixture(scope="module")
def wanted(folder, sighted, tmp_path_factory):
    out = tmp_path_factory.mktemp("local")
    assert not read_archive([folder], out, sighted, chunk_s=CHUNK_S).failed
    return folder, rows(out)


def copies(cache: Path):
    return [*(cache / "plateid" / "archive").iterdir()]


def test_s3_gives_the_events_of_a_folder_with_a_cache_that_is_smaller(
    wanted, sighted, s3, tmp_path
):
    folder, events = wanted
    sizes = [path.stat().st_size for path in folder.rglob("*.mp4")]
    limit = ["--cache-gb", f"{(max(sizes) + 10) / 1e9}"]
    source = "s3://recordings/nvr"
    done = read(sighted, tmp_path, tmp_path / "cache", source, endpoint=s3, options=limit)
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows(tmp_path) == events
    assert sum(path.stat().st_size for path in copies(tmp_path / "cache")) <= max(sizes) + 10
    assert "s3://recordings/nvr/gate/gate_20261124_091200.mp4" in {
        row["source"] for row in pq.read_table(tmp_path / "events.parquet").to_pylist()
    }


def test_http_gives_the_events_of_a_folder_and_lists_what_is_forbidden(
    wanted, sighted, web, tmp_path
):
    done = read(sighted, tmp_path, tmp_path / "cache", web)
    assert done.returncode == 1
    assert f"{web}/secret: 403 Forbidden" in done.stderr
    assert rows(tmp_path) == wanted[1]
    assert len(copies(tmp_path / "cache")) == 3


def test_url_that_cannot_be_read_is_one_clear_error(sighted, web, s3, tmp_path):
    missing, bucket = f"{web}/none/a.mp4", "s3://none/x"
    closed, empty = "http://127.0.0.1:1/a", f"{web}/gate/notes.txt"
    done = read(sighted, tmp_path, tmp_path, missing, bucket, closed, empty, endpoint=s3)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert {f"{missing}: does not exist", f"{bucket}: does not exist"} <= {*lines}
    assert any(line.startswith(f"{closed}: Connect") for line in lines), lines
    assert f"{empty}: lists no video file" in lines
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nothing://a/b", "Protocol not known: nothing"),
        ("gs://bucket/a", "Please install gcsfs"),
        ("http://me:word@127.0.0.1/a", "a user or a password is not supported"),
        ("zip://a.mp4::http://127.0.0.1/a.zip", "a chain of URLs, a user"),
    ],
)
def test_url_of_a_kind_that_cannot_be_opened_is_refused(url, reason):
    with pytest.raises(ConfigError, match=reason) as caught:
        next(find(url))
    assert "me:word" not in str(caught.value)


def test_file_larger_than_the_cache_is_named(sighted, web, tmp_path):
    source = f"{web}/gate/gate_20261124_091200.mp4"
    done = read(sighted, tmp_path, tmp_path, source, options=["--cache-gb", "1e-6"])
    assert done.returncode == 1
    assert f"{source}: has 0.0 GB, more than --cache-gb 1e-06" in done.stderr


def test_file_without_stated_size_is_bounded_by_the_cache(sighted, web, tmp_path):
    source = f"{web}/endless.mp4"
    done = read(sighted, tmp_path, tmp_path, source, options=["--cache-gb", "0.001"])
    assert done.returncode == 1
    assert "GB, more than --cache-gb 0.001" in done.stderr
    assert not copies(tmp_path)


def test_run_with_a_full_disk_of_the_cache_stops_and_resumes(wanted, sighted, web, tmp_path):
    cache = tmp_path / "cache"
    shell = ["unshare", "--map-root-user", "--mount", "bash", "-c", FULL, "bash", cache]
    sources = [f"{web}/gate", f"{web}/the%20yard"]
    done = read(sighted, tmp_path / "out", cache, *sources, shell=shell)
    assert done.stdout.startswith("exit 1\n")
    assert f"{cache}/plateid/archive: No space left on device" in done.stderr
    assert done.stdout.endswith("exit 0\n"), done.stderr
    assert rows(tmp_path / "out") == wanted[1]


def test_readers_share_one_copy(web, tmp_path):
    paths = [f"/gate/gate_20261124_091200.mp4?of=readers&n={n}" for n in range(20)]
    done = subprocess.run(
        [sys.executable, "-c", SHARED, *(f"{web}{path}" for path in paths)],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.stdout.split() == ["1"] * len(paths), done.stderr
    assert [SENT[path] for path in paths] == [1] * len(paths)


def test_signature_of_a_url_is_not_stored(sighted, web, tmp_path):
    source, out = f"{web}/the%20yard/yard_20261124_091200.mp4", tmp_path / "out"
    for secret in ("one/secret", "another"):
        signed = f"{source}?X-Amz-Credential=a%2Fb.c&X-Amz-Signature={secret}"
        done = read(sighted, out, tmp_path, signed, options=["--crops", "--json"])
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["done_s"] == 6, "it was read again"
    assert [row["camera"] for row in pq.read_table(out / "events.parquet").to_pylist()] == [
        "the yard-yard"
    ]
    for file in out.rglob("*.*"):
        assert b"X-Amz" not in file.read_bytes(), file


def test_other_query_is_another_source():
    url = "https://nvr.example/a.mp4"
    assert identity(f"{url}?file=1&sig=a") == identity(f"{url}?sig=b&file=1")
    assert len({identity(f"{url}{query}") for query in ("", "?file=1", "?file=2")}) == 3
    assert "word" not in identity(f"{url}?password=word")
