from plateid.store import sequence
from plateid.store.sequence import COUNTERS, Sequence


def test_starts_with_an_unwritable_store_and_an_unset_clock_get_different_epochs(monkeypatch):
    monkeypatch.setattr(sequence.time, "time", lambda: 1_165_000_000.0)  # 2006
    epochs = set()
    for _ in range(3):
        numbers = Sequence()
        numbers.follow_unwritable(COUNTERS + 5)
        epochs.add(numbers.next() // COUNTERS)
    later = Sequence()
    later.follow(COUNTERS + 5)
    assert len(epochs | {later.next() // COUNTERS}) == 4
