"""Compares the tracker with ultralytics' ByteTrack on the same detections."""

from argparse import Namespace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from ultralytics.engine.results import Boxes
from ultralytics.trackers.byte_tracker import BYTETracker

from plateid.core.records import Detection
from plateid.pipeline.tracking import Tracker

START = datetime(2026, 1, 1, tzinfo=UTC)
RATE = 25
REFERENCE = Namespace(
    track_high_thresh=0.4,
    track_low_thresh=0.1,
    new_track_thresh=0.4,
    track_buffer=RATE,
    match_thresh=0.9,
    fuse_score=False,
)


def traffic(seed: int, *, seconds: int = 20) -> list[list[Detection]]:
    """Plates in three lanes, each with its own speed, with jitter, gaps and low scores."""
    rng = np.random.default_rng(seed)
    frames: list[list[Detection]] = [[] for _ in range(seconds * RATE)]
    for lane, x in enumerate((250, 620, 1000)):
        start = int(rng.integers(5, 30)) * (lane + 1)
        while start < len(frames) - RATE:
            length, speed = int(rng.integers(2 * RATE, 5 * RATE)), rng.uniform(2, 7)
            for step in range(min(length, len(frames) - start)):
                if rng.random() < 0.93:
                    growth = 1 + 1.5 * step / length
                    centre = np.array([x + 0.5 * step, 120 + speed * step]) + rng.normal(0, 0.7, 2)
                    half = np.array([35, 9]) * growth * rng.uniform(0.97, 1.03, 2)
                    score = rng.choice([0.9, 0.7, 0.25], p=[0.6, 0.3, 0.1])
                    box = (*(centre - half), *(centre + half))
                    frames[start + step].append(Detection(tuple(map(float, box)), float(score)))
            start += length + int(rng.integers(2 * RATE, 3 * RATE))
    return frames


def track_ids(frames: list[list[Detection]]) -> dict[tuple[int, float], int]:
    tracker, found = Tracker(high_score=0.4, lost_s=1.0), {}
    for number, detections in enumerate(frames):
        now = START + timedelta(seconds=number / RATE)
        for track in tracker.update(detections, now):
            found[number, round(track.detection.box[0], 2)] = track.id
    return found


def reference_ids(frames: list[list[Detection]]) -> dict[tuple[int, float], int]:
    tracker, found = BYTETracker(REFERENCE), {}
    for number, detections in enumerate(frames):
        rows = np.array([(*d.box, d.score, 0) for d in detections], np.float32).reshape(-1, 6)
        for row in tracker.update(Boxes(rows, (720, 1280)).numpy()):
            found[number, round(detections[int(row[-1])].box[0], 2)] = int(row[4])
    return found


@pytest.mark.parametrize("seed", range(5))
def test_track_ids_equal_those_of_the_reference(seed):
    frames = traffic(seed)
    ours, theirs = track_ids(frames), reference_ids(frames)
    both = ours.keys() & theirs.keys()
    assert len(both) > 0.95 * len(theirs) > 300
    pairs = {(ours[key], theirs[key]) for key in both}
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs}) > 5
