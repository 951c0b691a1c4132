"""Fuzzes what reads bytes from outside: `python -m tests.fuzz [--minutes M] [TARGET]...`.

Corpora stay in .fuzz_cache between runs. An input that fails is in .fuzz_cache/failures; repeat it
with `python -m tests.fuzz.instrumented TARGET FOLDER FILE`.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.targets import MEMORY, TARGETS
from tests.hostile.mutations import TOKENS

CACHE = Path(".fuzz_cache")
WORD = re.compile(rb"\w{3,20}")
"""Words of the seeds that mutations insert."""
LIMITS = ("-timeout=20", "-rss_limit_mb=4096", "-max_len=20000", "-print_final_stats=1")
"""Longest run of an input, seconds; memory; length of an input, bytes."""


def fuzz(name: str, minutes: float) -> bool:
    """Fuzzes a target; returns whether no input fails."""
    corpus, failures, dictionary = CACHE / name, CACHE / "failures", CACHE / f"{name}.dict"
    for folder in (corpus, failures):
        folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=MEMORY) as place, TARGETS[name](Path(place)) as (seeds, _):
        for number, seed in enumerate(seeds):
            (corpus / f"seed-{number}").write_bytes(seed)
        words = sorted({*TOKENS, *(word for seed in seeds for word in WORD.findall(seed))})
        escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in words)
        dictionary.write_text("".join(f'"{word}"\n' for word in escaped))
    with TemporaryDirectory(dir=MEMORY) as place:
        time, prefix = f"-max_total_time={minutes * 60:.0f}", f"-artifact_prefix={failures}/{name}-"
        command = [sys.executable, "-m", "tests.fuzz.instrumented", name, place, corpus, time]
        limits = prefix, f"-dict={dictionary}", *LIMITS
        return subprocess.run([*command, *limits], check=False).returncode == 0


parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
parser.add_argument("--minutes", type=float, default=10, help="time of each target")
parser.add_argument("targets", nargs="*", help=", ".join(TARGETS))
options = parser.parse_args()
failed = [name for name in options.targets or TARGETS if not fuzz(name, options.minutes)]
sys.exit(f"inputs that fail: see above and {CACHE}/failures: {', '.join(failed)}" if failed else 0)
