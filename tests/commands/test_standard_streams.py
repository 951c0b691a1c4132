"""Closed, full and broken standard streams give one line and the right exit code."""

import subprocess
import sys

import pytest

PLATEID = f"{sys.executable} -m plateid"
UNWRITABLE = "the output cannot be written: "


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", "-c", command], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("--version >&-", 1, f"{UNWRITABLE}Bad file descriptor"),
        ("--help >/dev/full", 1, f"{UNWRITABLE}No space left on device"),
        ("models list >&-", 1, f"{UNWRITABLE}Bad file descriptor"),
        ("--version <&- 2>&-", 0, ""),
        ("check -c nowhere.toml >&-", 2, "nowhere.toml: No such file or directory"),
        ("check -c nowhere.toml <&- >&- 2>&-", 2, ""),
    ],
)
def test_closed_or_full_stream_is_one_line_at_most(arguments, code, message):
    done = shell(f"{PLATEID} {arguments}")
    assert (done.returncode, done.stderr.strip()) == (code, message)


@pytest.mark.parametrize(
    ("redirection", "expected"),
    [
        ("2>&-", (0, "car.png: AB12 97%\n", "")),
        (">&-", (1, "", f"{UNWRITABLE}Bad file descriptor\n")),
        (">&- 2>&-", (1, "", "")),
    ],
)
def test_images_are_read_with_closed_streams(image, bundle, redirection, expected):
    done = shell(f"cd {image.parent}; {PLATEID} read --bundle {bundle} car.png {redirection}")
    assert (done.returncode, done.stdout, done.stderr) == expected


def test_reader_that_closes_the_pipe_ends_the_command_silently(image, bundle):
    command = f"{PLATEID} read --bundle {bundle} {' '.join(20 * [str(image)])}"
    done = shell(f"{command} | head -n 1; exit ${{PIPESTATUS[0]}}")
    assert done.stdout == f"{image}: AB12 97%\n"
    assert (done.returncode, done.stderr) == (1, "")
