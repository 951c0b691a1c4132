"""Writes a street as a video file, and its ground truth beside it."""

import json
from pathlib import Path

import av
import numpy as np

from plateid.core.text import normalise
from train.progress import tracked
from train.street.frames import render
from train.street.projection import Size
from train.street.scenario import Street
from train.train_error import TrainError

CODEC = {"crf": "28", "preset": "medium", "threads": "1"}
"""Options of libx264. One thread, so that the same street gives the same file."""


def write_video(street: Street, path: Path, *, size: Size = (1280, 720), fps: int = 30) -> None:
    """Writes the video (H.264) to `path`, and the ground truth to the same name with `.json`.

    The ground truth has a box for each frame from `first_frame` to `last_frame`, or null while the
    plate is hidden. Raises TrainError if a plate cannot be drawn, or a file cannot be written.
    """
    boxes: list[dict[int, list[float]]] = [{} for _ in street.vehicles]  # by number of the frame
    count = round(street.length_s * fps)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"new-{path.name}")
        with av.open(str(unfinished), "w", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=fps, options=CODEC)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            frames = tracked(render(street, size=size, fps=fps), path.name, total=count)
            for index, frame in enumerate(frames):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, "bgr24")))
                for plate in frame.plates:
                    boxes[plate.vehicle][index] = np.round(plate.box, 1).tolist()
            container.mux(stream.encode())
        unfinished.replace(path)
        truth = []
        for vehicle, found in zip(street.vehicles, boxes, strict=True):
            first, last = min(found, default=0), max(found, default=-1)
            entry: dict[str, object] = {"plate": normalise(vehicle.plate), "region": vehicle.region}
            entry |= {"first_frame": first, "last_frame": last}
            truth.append({**entry, "boxes": [found.get(at) for at in range(first, last + 1)]})
        head = {"width": size[0], "height": size[1], "fps": fps, "frames": count}
        path.with_suffix(".json").write_text(json.dumps({**head, "vehicles": truth}))
    except OSError as error:
        raise TrainError(f"{path}: {error.strerror}") from error
