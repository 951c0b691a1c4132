"""The firewall of the appliance, in a network namespace with a neighbour."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
RULES = REPOSITORY / "firmware/tree/etc/nftables.conf"
NETWORK = """
/usr/sbin/nft --file "$1"
unshare --net sleep 60 & neighbour=$!
while [ /proc/self/ns/net -ef /proc/$neighbour/ns/net ]; do sleep 0.1; done
ip link add v0 type veth peer name v1 netns $neighbour
join() {
  ip link set lo up
  ip link set v$1 up
  ip address add 10.9.0.$2/24 dev v$1
  ip route add default dev v$1
}
join 0 1
nsenter --target=$neighbour --net sh -ec "$(declare -f join); join 1 2"
nsenter --target=$neighbour --net "$2" -c "$3" &
"$2" -c "$4"
"""
"""Script that runs a Python program of the neighbour, and one of the device, with the rules."""
CAMERA = """
import time
from tests.web.onvif_camera import OnvifCamera
OnvifCamera()
time.sleep(60)
"""
SEARCH = "from plateid.device_checks import find_cameras; print(find_cameras())"
STRANGER = """
import socket, time
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own.bind(("", 3702))
while True:
    own.sendto(b"closed", ("10.9.0.1", 9000))
    own.sendto(b"open", ("10.9.0.1", 5353))
    time.sleep(0.1)
"""
LISTENER = """
import select, socket
own = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
for each, port in zip(own, (9000, 5353)):
    each.bind(("", port))
for _ in range(5):
    ready, _, _ = select.select(own, [], [], 20)
    print([each.recv(9).decode() for each in ready])
"""


def run(neighbour: str, device: str) -> str:
    """Runs two Python programs in their namespaces; returns the output of the device's one."""
    command = [
        "unshare",
        "--map-root-user",
        "--net",
        "--pid",
        "--mount-proc",
        "--fork",
        "--kill-child",
    ]
    words = [*command, "bash", "-ec", NETWORK, "bash", RULES, sys.executable, neighbour, device]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=60, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_answers_of_cameras_pass_the_firewall():
    assert "('HIKVISION DS-2CD2042', 'http://127.0.0.1:" in run(CAMERA, SEARCH)


def test_packets_from_the_port_of_cameras_to_other_ports_are_dropped():
    assert run(STRANGER, LISTENER) == "['open']\n" * 5
