import ctypes
from pathlib import Path

import pytest

from plateid.service import libc

MB = 1 << 20
BLOCK_BYTES = 100_000
"""Size of an allocation; glibc takes larger ones from outside the heap."""


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@pytest.mark.parametrize(("trim_s", "freed_mb"), [(0.0, 70), (60.0, 0)])
def test_free_memory_is_returned_when_a_trim_is_due(monkeypatch, trim_s, freed_mb):
    monkeypatch.setattr(libc, "TRIM_S", 0.0)
    libc.HeapTrimmer().check()  # what other tests have left would count as freed
    monkeypatch.setattr(libc, "TRIM_S", trim_s)
    blocks = [
        ctypes.create_string_buffer(b"x" * BLOCK_BYTES) for _ in range(100 * MB // BLOCK_BYTES)
    ]
    trimmer, last = libc.HeapTrimmer(), blocks[-1]  # the end of the heap stays in use
    del blocks
    before = resident_mb()
    trimmer.check()
    assert freed_mb - 20 < before - resident_mb() < freed_mb + 50
    assert len(last) > BLOCK_BYTES
