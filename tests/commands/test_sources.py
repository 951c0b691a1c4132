"""Names and files that no user means: each is one line, and the others are read."""

import os
import socket

import pytest
from click.testing import CliRunner

from plateid.commands.main import main
from tests.commands.test_read import read


def test_odd_files_are_one_line_each_and_the_others_are_read(image, bundle, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "big.jpg").write_bytes(image.read_bytes())
    (tmp_path / "big.mp4").touch()
    for name in ("big.jpg", "big.mp4"):
        os.truncate(tmp_path / name, 60_000_000_000)  # sparse
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.jpg"))
        names = ["pipe.jpg", "loop.jpg", "socket.jpg", "big.jpg", "big.mp4"]
        kernel = ["/dev/zero", "/proc/self/mem", "/proc/kmsg", "/proc", "/sys/kernel"]
        done = read("--bundle", bundle, *(tmp_path / name for name in names), *kernel, image)
    assert (done.returncode, done.stdout) == (1, f"{image}: AB12 97%\n")
    reasons = dict(
        line.removeprefix(f"{tmp_path}/").split(": ") for line in done.stderr.splitlines()
    )
    assert reasons == {
        "pipe.jpg": "is neither a file nor a folder",
        "socket.jpg": "is neither a file nor a folder",
        "loop.jpg": "Too many levels of symbolic links",
        "big.jpg": "is larger than 500,000,000 bytes",
        "big.mp4": "is not a video, or is damaged",
        "/dev/zero": "is neither a file nor a folder",
        "/proc/self/mem": "is empty",
        "/proc/kmsg": "is empty",
        "/proc": "holds no images or videos",
        "/sys/kernel": "holds no images or videos",
    }


def test_folder_that_contains_itself_is_read_once(image, bundle):
    (image.parent / "cycle.jpg").symlink_to(image.parent)
    (image.parent / "loop.jpg").symlink_to("loop.jpg")
    assert read("--bundle", bundle, image.parent).stdout == f"{image}: AB12 97%\n"


def test_control_characters_and_other_bytes_of_names_are_escaped(image, bundle):
    names = [b"a\nb.png", b"\x1b[31mred.png", b"caf\xe9.png"]
    files = [os.fsdecode(os.fsencode(image.parent) + b"/" + name) for name in names]
    for file in files:
        os.link(image, file)
    done = read("--bundle", bundle, *files, *(f"{file}.jpg" for file in files))
    shown = [f"{image.parent}/{name}" for name in ("a\\nb", "\\x1b[31mred", "caf\\udce9")]
    assert done.stdout.splitlines() == [f"{name}.png: AB12 97%" for name in shown]
    assert done.stderr.splitlines() == [f"{name}.png.jpg: does not exist" for name in shown]


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        (["read", ""], "SOURCES..."),
        (["read", "a.jpg", "--out", ""], "--out"),
        (["read", "a.jpg", "--formats", ""], "--formats"),
        (["read", "a.jpg", "--bundle", ""], "--bundle"),
        (["check", "--config", ""], "--config"),
        (["bench", "--seconds", "nan"], "--seconds"),
        (["bench", "--seconds", "inf"], "--seconds"),
        (["bench", "--cameras", "1000000"], "--cameras"),
        (["models", "verify", ""], "NAME|DIRECTORY"),
        (["models", "pack", "", "--key", "a", "--out", "b"], "NAME|DIRECTORY"),
    ],
)
def test_empty_path_and_endless_number_are_refused(arguments, parameter):
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert parameter in done.stderr and "Traceback" not in done.stderr
