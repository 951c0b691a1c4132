import ctypes
from pathlib import Path

from plateid.service import memory

MB = 1 << 20
BLOCK = 100_000
"""Bytes; larger ones are no part of the heap."""


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def test_what_a_burst_left_is_given_back_when_it_is_due(monkeypatch):
    monkeypatch.setattr(memory, "TRIM_S", 0.0)
    burst = [ctypes.create_string_buffer(b"x" * BLOCK) for _ in range(100 * MB // BLOCK)]
    trimmer, last = memory.HeapTrimmer(), burst[-1]  # the end of the heap is in use
    del burst
    before = resident_mb()
    trimmer.check()
    assert resident_mb() < before - 70
    assert len(last) > BLOCK


def test_nothing_happens_before_that():
    trimmer = memory.HeapTrimmer()
    burst = [ctypes.create_string_buffer(b"x" * BLOCK) for _ in range(100 * MB // BLOCK)]
    last = burst[-1]
    del burst
    before = resident_mb()
    trimmer.check()
    assert resident_mb() > before - 20
    assert len(last) > BLOCK
