"""All measurements of a device."""

import json
import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from plateid.bench.capacity import Load
from plateid.bench.stages import Crowd, Profile
from plateid.demo import DEMO_VIDEO


@dataclass(frozen=True)
class Accuracy:
    """Results on the demo video: vehicles, correctly read ones, and wrong plates."""

    vehicles: int
    right: int
    wrong: int


@dataclass
class Report:
    """The measurements so far.

    Attributes:
        profile: Time of each stage.
        accuracy: Only of the demo video.
        crowds: Cost of a frame by its number of plates.
        still_decode_ms: CPU time of decoding a frame of the still scene.
        still: Load of one camera with a still scene.
        loads: Load by number of cameras.
    """

    profile: Profile | None = None
    accuracy: Accuracy | None = None
    crowds: list[Crowd] = field(default_factory=list)
    still_decode_ms: float | None = None
    still: Load | None = None
    loads: list[Load] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report for JSON."""
        return {
            "machine": {"processor": platform.machine(), "cores": len(os.sched_getaffinity(0))},
            **(_profile(self.profile) if self.profile else {}),
            "plates_ms": {crowd.plates: crowd.frame_ms for crowd in self.crowds},
            "still": asdict(self.still) if self.still else None,
            "cameras": [
                asdict(load)
                | {"latency_p50_ms": load.latency(50), "latency_p95_ms": load.latency(95)}
                for load in self.loads
            ],
            "still_decode_ms": self.still_decode_ms,
            "accuracy": asdict(self.accuracy) if self.accuracy else None,
        }


def accuracy_of(plates: Sequence[str]) -> Accuracy:
    """Compares the plates of `plate_left` events with the vehicles of the demo video."""
    vehicles = json.loads(DEMO_VIDEO.with_suffix(".json").read_text())["vehicles"]
    right = (Counter(each["plate"] for each in vehicles) & Counter(plates)).total()
    return Accuracy(len(vehicles), right, len(plates) - right)


def _profile(profile: Profile) -> dict[str, Any]:
    stages = {
        stage: {
            "median_ms": float(np.median(times)),
            "p95_ms": float(np.percentile(times, 95)),
            "share": profile.share(stage),
        }
        for stage, times in profile.times_ms.items()
    }
    with_plates, without = profile.frame_rates()
    return {
        "stages": stages,
        "frames_a_second": {"with_plates": with_plates, "without": without},
        "cpu_ms": profile.cpu_ms / profile.frames,
        "bare_ms": profile.bare_ms / profile.frames,
        "ratio": profile.ratio,
    }
