"""Writes the clip and the truth about it."""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
from rich.progress import track

from plateid.core.records import Box
from plateid.core.text import normalise
from train.record import write_whole
from train.scene.render import CAMERA, FRAMES, plate_box, render_frame
from train.scene.scenario import FPS, PASSES
from train.train_error import TrainError

CLIP, TRUTH = "demo.mp4", "demo.json"
READABLE_PX = 16
"""A plate counts from this height on."""
CODEC = {"crf": "28", "preset": "slow", "threads": "1", "movflags": "+faststart"}


def render_clip(out: Path, *, seed: int = 0) -> None:
    """Writes `demo.mp4` and `demo.json` into the folder `out`.

    Raises:
        TrainError: The Debian package with the font is missing, or nothing can be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        new = out / f"new-{CLIP}"
        _render(new, seed)
        new.replace(out / CLIP)
        write_whole(out / TRUTH, _as_lines(truth()))
    except OSError as error:
        raise TrainError(f"{out}: {error.strerror}") from error


def _render(path: Path, seed: int) -> None:
    with av.open(str(path), "w", options={"movflags": CODEC["movflags"]}) as container:
        stream = container.add_stream(
            "libx264", rate=FPS, options={k: v for k, v in CODEC.items() if k != "movflags"}
        )
        stream.width, stream.height, stream.pix_fmt = CAMERA.width, CAMERA.height, "yuv420p"
        for index in track(range(FRAMES), description=CLIP):
            picture = av.VideoFrame.from_ndarray(render_frame(index, seed=seed), format="bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def truth() -> dict[str, Any]:
    """Size of the clip, and for each car its plate and the plate's boxes.

    A car's `boxes` (x1, y1, x2, y2) are those of the frames `first_frame` to `last_frame`: all in
    which the plate is at least `READABLE_PX` high and entirely in the picture.
    """
    vehicles = []
    for car, journey in enumerate(PASSES):
        boxes = {
            index: box
            for index in range(FRAMES)
            if (box := plate_box(car, index)) and _readable(box)
        }
        vehicles.append(
            {
                "plate": normalise(journey.plate),
                "region": journey.region,
                "first_frame": min(boxes),
                "last_frame": max(boxes),
                "boxes": [np.round(boxes[index], 1).tolist() for index in sorted(boxes)],
            }
        )
    return {
        "width": CAMERA.width,
        "height": CAMERA.height,
        "fps": FPS,
        "frames": FRAMES,
        "vehicles": vehicles,
    }


def _readable(box: Box) -> bool:
    x1, y1, x2, y2 = box
    inside = x1 >= 0 and y1 >= 0 and x2 <= CAMERA.width and y2 <= CAMERA.height
    return inside and y2 - y1 >= READABLE_PX


def _as_lines(content: dict[str, Any]) -> str:
    """JSON with one car a line."""
    head = {key: value for key, value in content.items() if key != "vehicles"}
    cars = ",\n".join(json.dumps(vehicle, separators=(",", ":")) for vehicle in content["vehicles"])
    return json.dumps(head)[:-1] + ', "vehicles": [\n' + cars + "\n]}\n"
