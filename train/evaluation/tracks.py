"""Renders plates that drive past at low resolution, and compares ways to read all their frames."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from plateid.capture.images import ArrayImage
from plateid.config.models import ModelsConfig
from plateid.core.formats import shipped_formats
from plateid.core.fusion import Fusion
from plateid.core.reading import Reading, fused_reading, single_reading
from plateid.core.records import Image, PlateRead
from plateid.core.text import BLANK, best_text, fold
from plateid.models.networks import Networks
from train.progress import tracked
from train.synth.camera_effects import CropGeometry, simulate_camera
from train.synth.flat_plate import random_plate
from train.synth.surroundings import mount_on_vehicle
from train.synth.viewpoint import crop_plate, random_homography

FRAMES = 5
"""Frames of a track."""
CAPS = (5.0, 12.0)
"""Height of the characters, pixels: of the first frame at least, of the last at most."""
APPROACH = 1.25
"""Height of the characters in the last frame, relative to the first."""
EACH_FRAME = "one frame, mean"
"""Mean over the frames."""
ORACLE = "any of the frames, if one is right"
"""Upper bound of every choice between the frames' texts."""
DETAIL = 3.5
"""Factor by which a plate is drawn larger than it is in the last frame."""


def compare_fusion(config: ModelsConfig, *, count: int, seed: int) -> dict[str, float]:
    """Renders `count` tracks, and returns the `plate_accuracy_folded` of each method."""
    reader = Networks(config).reader()
    correct: dict[str, float] = {}
    for number in tracked(range(count), "tracks"):
        text, frames = render_track(np.random.default_rng((seed, number)))
        images = [ArrayImage(frame) for frame in frames]
        reads = [reader.read(i, [(0, 0, i.width, i.height)])[0] for i in images]
        for method, value in _texts(reads).items():
            right = [fold(each) == fold(text) for each in value]
            correct[method] = correct.get(method, 0) + sum(right) / len(right) / count
            if method == EACH_FRAME:
                correct[ORACLE] = correct.get(ORACLE, 0) + any(right) / count
    return correct


def render_track(rng: np.random.Generator) -> tuple[str, list[Image]]:
    """Returns the text of a plate and its crops in FRAMES frames, with characters of CAPS pixels.

    View, light, sharpness and compression stay the same. Distance, place on the sensor, box and
    the grain of the noise change.
    """
    first = rng.uniform(CAPS[0], CAPS[1] / APPROACH)
    caps = first * np.geomspace(1, APPROACH, FRAMES)
    plate = random_plate(rng, cap=DETAIL * caps[-1])
    vehicle, margin = mount_on_vehicle(rng, plate.image)
    drawn = float((plate.boxes[:, 3] - plate.boxes[:, 1]).max())
    height, width = plate.image.shape[:2]
    view = random_homography(rng, (width, height))
    light = int(rng.integers(2**32))
    frames = []
    for cap in caps.tolist():
        crop = crop_plate(rng, vehicle, margin, plate.boxes, view=view)
        centres = np.clip(crop.centres / crop.image.shape[1::-1], 0, 1)
        box = (*centres.min(axis=0).tolist(), *centres.max(axis=0).tolist())
        geometry = CropGeometry(drawn / cap, cap, box)
        lit = np.random.default_rng(light)
        frames.append(simulate_camera(lit, crop.image, geometry, noise=rng))
    return plate.text, frames


def _texts(reads: Sequence[PlateRead]) -> dict[str, list[str]]:
    """Returns the texts of each method: one, or one for each frame."""
    formats = shipped_formats()
    single = [single_reading(read, formats) for read in reads]
    fusion = Fusion()
    for read in reads:
        fusion.add(read)
    return {
        EACH_FRAME: [reading.plate for reading in single],
        "frame with the highest confidence": [max(single, key=lambda r: r.confidence).plate],
        "majority of the texts": [_majority(single)],
        "sum of log-probabilities": [_sum_of_logs(reads)],
        "fusion of plateid": [fused_reading(fusion, formats).plate],
    }


def _majority(readings: Sequence[Reading]) -> str:
    """Returns the most frequent text; equal ones are decided by the sum of their confidences."""
    votes = Counter(reading.plate for reading in readings if reading.plate)
    sums = {t: sum(r.confidence for r in readings if r.plate == t) for t in votes}
    return max(votes, key=lambda text: (votes[text], sums[text]), default="")


def _sum_of_logs(reads: Sequence[PlateRead]) -> str:
    """Adds the log-probabilities of each position over the reads of the most frequent length."""
    rows = [r.probabilities[r.probabilities.argmax(axis=1) != BLANK] for r in reads]
    ((length, _),) = Counter(len(each) for each in rows).most_common(1)
    logs = sum(np.log(np.maximum(each, 1e-6)) for each in rows if len(each) == length)
    return best_text(np.asarray(logs, np.float32)) if length else ""
