"""Candidates between the old and the new weights, and what they forget.

The line from a network to its fine-tuned version holds ones that gain and forget nothing (Wortsman
et al., Robust fine-tuning of zero-shot models, CVPR 2022).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

SHARES = (0.3, 0.5, 0.7, 0.85, 1.0)
"""Places of the candidates on the line: 0 is the old network, 1 the new one."""
MAX_LOSS, MIN_LOST = 0.005, 1
"""Largest loss of a set that must not be forgotten: a share of its plates, or one plate."""
ENOUGH = 0.95
"""Share of the greatest gain that is enough to prefer a network nearer to the old one. Rendered
plates do not show everything that is forgotten. With .8, a country with an unknown font stopped
half the way, and other plates lost as many."""


@dataclass(frozen=True)
class KeptSet:
    """Plates that must not be forgotten: how many, and the shares that are read or found."""

    name: str
    count: int
    before: float
    after: float

    @property
    def is_forgotten(self) -> bool:
        """Whether too many fewer plates are read or found."""
        return round((self.before - self.after) * self.count) > max(MIN_LOST, MAX_LOSS * self.count)


class Kept(NamedTuple):
    """What a network keeps, and the score threshold of a detector (0 for a reader)."""

    sets: tuple[KeptSet, ...]
    threshold: float = 0.0


@dataclass(frozen=True, eq=False)
class Candidate:
    """A network on the line, what it gains on held-out data of yours, and what it keeps."""

    share: float
    gain: float  # of the mean log-probability of a label per character, or of mAP50-95
    kept: Kept

    @property
    def forgets(self) -> list[KeptSet]:
        """The sets that it forgets."""
        return [each for each in self.kept.sets if each.is_forgotten]


def choose(gains: Mapping[float, float], kept_at: Callable[[float], Kept]) -> list[Candidate]:
    """Returns the candidates that were measured; the last one is chosen.

    The first that forgets nothing is chosen. If all forget something, that is the one with the
    highest gain. `kept_at` measures what the network at a place on the line keeps.
    """
    measured: list[Candidate] = []
    for share in preferred(gains):
        measured.append(Candidate(share, gains[share], kept_at(share)))
        if not measured[-1].forgets:
            return measured
    return [*measured[1:], measured[0]]


def preferred(gains: Mapping[float, float]) -> list[float]:
    """Returns the places on the line, the best first: the nearest with ENOUGH of the gain."""
    best = max(gains.values())
    enough = sorted(share for share, gain in gains.items() if gain >= ENOUGH * best)
    others = [share for share in gains if share not in enough]
    return [*enough, *sorted(others, key=lambda share: -gains[share])]
