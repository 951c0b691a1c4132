"""A Ray cluster of two machines, which are network namespaces; the one that reads is lost."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from plateid.archive.ray_pool import RayPool
from plateid.errors import ArchiveError
from tests.support.archives import read_archive
from tests.support.sighted import FPS, Vehicle, write_street

CLUSTER = """
ip link set lo up
unshare --net sleep 300 & other=$!
while [ /proc/self/ns/net -ef /proc/$other/ns/net ]; do sleep 0.1; done
ip link add v0 type veth peer name v1 netns $other
ip link set v0 up
ip address add 10.9.0.1/24 dev v0
nsenter --target=$other --net sh -ec "ip link set lo up; ip link set v1 up
  ip address add 10.9.0.2/24 dev v1"
export HOME="$2" RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 RAY_raylet_start_wait_time_s=120
start="$1 -m ray.scripts.scripts start --object-store-memory 80000000"
join="nsenter --target=$other --net $start --num-cpus 1 --address 10.9.0.1:6379
  --node-ip-address 10.9.0.2"
"$1" -m ray.scripts.scripts get-auth-token --generate > "$2/token"
(cd /; $start --num-cpus 0 --head --node-ip-address 10.9.0.1 --port 6379 --include-dashboard=false \
  --temp-dir "$2"; $join)
shift 2
lost=
"$@" | while read -r line; do
  echo "$line"
  case $lost$line in '{"done_s": 0.0'* | [!{]*) continue; esac
  lost=yes  # a chunk is done: the processes of the machine that reads are lost, then it is back
  for process in /proc/[0-9]*; do
    if [ $process != /proc/$other -a $process/ns/net -ef /proc/$other/ns/net ]; then
      kill -9 ${process#/proc/}
    fi
  done
  (cd /; $join) >&2
done
"""


def test_run_that_loses_a_machine_gives_the_bytes_of_a_local_run(sighted, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.chdir(tmp_path)  # nodes have another folder
    source = tmp_path / "in" / "a" / "a_20261124_091200.mp4"
    source.parent.mkdir(parents=True)
    vehicles = [Vehicle(number % 3, 2 + 7 * number, y=56) for number in range(5)]
    write_street(source, vehicles, [n / FPS for n in range(40 * FPS)])
    for camera in "bcdef":
        shutil.copytree(source.parent, tmp_path / "in" / camera)
    read_archive([Path("in")], tmp_path / "local", sighted, chunk_s=10)
    read = ["-m", "plateid", "archive", "read", "in", "--out", tmp_path / "out"]
    options = ["--bundle", sighted, "--chunk-s", "10", "--json", "--address", "10.9.0.1:6379"]
    network = ["unshare", "--map-root-user", "--net", "--pid", "--mount-proc", "--fork"]
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ray") as home:  # sockets need short names
        words = [*network, "--kill-child", "bash", "-euo", "pipefail", "-c", CLUSTER, "bash"]
        words += [sys.executable, home, sys.executable, *read, *options]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the task will be retried" not in done.stdout, "the lines are not all JSON"
    assert "the task will be retried" in done.stderr
    wanted = (tmp_path / "local" / "events.parquet").read_bytes()
    assert (tmp_path / "out" / "events.parquet").read_bytes() == wanted


def test_cluster_that_does_not_answer_is_an_error():
    with pytest.raises(ArchiveError, match=r"127\.0\.0\.1:1: Connection refused"):
        RayPool(None, "127.0.0.1:1", None)
