"""ONVIF cameras: found on every interface, asked for their streams, whatever they answer."""

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from plateid.capture.onvif import stream_addresses
from plateid.device_checks import find_cameras
from plateid.errors import SourceError
from tests.web.onvif_camera import PASSWORD, USER, OnvifCamera

LIVE = "rtsp://admin:p%40ss@127.0.0.1:554/live"
NETWORK = """
ip link set lo up
for number in 1 2; do
  unshare --net sleep 60 & neighbour=$!
  while [ /proc/self/ns/net -ef /proc/$neighbour/ns/net ]; do sleep 0.1; done
  ip link add v$number type veth peer name camera netns $neighbour
  ip link set v$number up
  ip address add 10.9.$number.1/24 dev v$number
  nsenter --target=$neighbour --net sh -ec "ip link set lo up; ip link set camera up
    ip address add 10.9.$number.2/24 dev camera; ip route add default dev camera"
  nsenter --target=$neighbour --net "$1" -c "$2" $number &
done
ip route add default dev v1
sleep 2
"$1" -c "from plateid.device_checks import find_cameras; print(find_cameras())"
"""
"""Script of a device with a camera at each of two interfaces; only one has the default route."""
CAMERA = """
import sys, time
from tests.web.onvif_camera import OnvifCamera
OnvifCamera(name=f"camera{sys.argv[1]}")
time.sleep(60)
"""


def asked(camera: OnvifCamera) -> tuple[str, str]:
    return stream_addresses(camera.address, USER, PASSWORD)


def test_cameras_are_found_on_every_interface():
    command = ["unshare", "--map-root-user", "--net", "--pid", "--mount-proc", "--fork"]
    words = [*command, "--kill-child", "bash", "-ec", NETWORK, "bash", sys.executable, CAMERA]
    root = Path(__file__).parents[1]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False, timeout=90)
    assert "'camera1'" in done.stdout, done.stderr
    assert "'camera2'" in done.stdout, "it is not on the interface of the default route"


@pytest.mark.parametrize("behaviour", [{}, {"challenges": True}, {"clock_s": 86_400 * 400}])
@pytest.mark.alone
def test_main_stream_and_sub_stream_are_given_with_any_login_and_clock(behaviour):
    with closing(OnvifCamera(**behaviour)) as camera:
        assert asked(camera) == (f"{LIVE}/main", f"{LIVE}/sub")
        with pytest.raises(SourceError, match="refuses this user name or password"):
            stream_addresses(camera.address, USER, "wrong")


@pytest.mark.parametrize(
    ("profiles", "main", "sub"),
    [
        ((("only", 1920, "1"),), "only", None),
        ((("a", 1920, "1"), ("b", 1920, "1")), "a", None),
        ((("tiny", 352, "1"), ("main", 3840, "1")), "main", None),
        ((("x", 1280, "1"), ("tiny", 352, "1"), ("y", 640, "1"), ("z", 3840, "1")), "z", "y"),
        ((("main", 3840, "1"), ("other lens", 640, "2")), "main", None),
        ((), "", None),
    ],
)
@pytest.mark.alone
def test_sub_stream_is_the_narrowest_one_that_is_wide_enough(profiles, main, sub):
    with closing(OnvifCamera(profiles=profiles)) as camera:
        assert asked(camera) == (f"{LIVE}/{main}", f"{LIVE}/{sub}" if sub else "")


@pytest.mark.alone
def test_answers_with_entities_are_refused():
    with closing(OnvifCamera(hostile=True)) as camera:
        assert [service for _, service in find_cameras() if service] == []
        started = time.monotonic()
        with pytest.raises(SourceError, match=camera.address):
            asked(camera)
        assert time.monotonic() - started < 5
