"""What teaching a network gives: the proof, what the report shows, and the file for the bundle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.evaluation.evaluation_tables import Table
from train.learn.candidates import Candidate
from train.learn.label_checks import Suspect
from train.learn.proof import Proof, refusals
from train.manifest.weight_origin import Network


@dataclass(frozen=True, eq=False)
class Flipped:
    """A plate that is read differently, before and after."""

    text: str
    before: str
    after: str
    jpeg: bytes

    @property
    def is_better(self) -> bool:
        """Whether it is read correctly now."""
        return self.after == self.text


@dataclass(frozen=True, eq=False)
class Taught:
    """A network that was taught, and what it gains and forgets on held-out data."""

    network: Network
    proof: Proof
    chosen: Candidate
    candidates: Sequence[Candidate]
    table: Table
    write: Callable[[Path], tuple[dict[str, Any], str]]
    """Writes the network into a bundle. Returns the changes of its section in `bundle.toml`, and
    why it is not INT8 as before, if so."""
    doubts: Sequence[Suspect] = ()  # worst first
    left_out: int = 0  # of them
    sheet: bytes = b""  # PNG of them
    flipped: Sequence[Flipped] = ()

    @property
    def reasons(self) -> list[str]:
        """Why the gate refuses it; empty if it passes."""
        return refusals(self.proof, self.chosen)
