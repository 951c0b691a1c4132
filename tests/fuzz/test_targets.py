"""Each fuzz target holds for its seeds and some mutations; `make fuzz` runs them for minutes."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import MEMORY, TARGETS
from tests.hostile.mutations import hostile, mutated

MUTATIONS = 100


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_mutations_of_a_fuzz_target_hold(name):
    with TemporaryDirectory(dir=MEMORY) as place, TARGETS[name](Path(place)) as (seeds, run):
        for seed in seeds:
            run(seed)

        @settings(hostile, max_examples=MUTATIONS)
        @given(st.sampled_from(list(seeds)).flatmap(mutated))
        def run_mutated(data):
            run(data)

        run_mutated()
