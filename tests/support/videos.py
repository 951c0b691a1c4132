"""Small test videos."""

from fractions import Fraction

import av
import numpy as np
import pytest

from plateid.errors import SourceError

CREATED = "2026-11-24T09:12:07.000000Z"
QUADRANTS = np.array([[(0, 0, 200), (0, 200, 0)], [(200, 0, 0), (220, 220, 220)]], np.uint8)
"""BGR: red, green above blue, white."""


def read_to_error(frames):
    """Returns the frames of a source and the error with which it ends."""
    taken = []
    with pytest.raises(SourceError) as error:
        taken.extend(frames)
    return taken, error.value


def write_video(path, *, fps=30, count=30, rotation=0, created=None):
    """Writes a 64x48 video with four noisy quadrants of the colours above."""
    random = np.random.default_rng(1)
    image = np.kron(QUADRANTS, np.ones((24, 32, 1), np.uint8))
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(
            "libx264", rate=fps, options={"crf": "1", "g": "10", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        if created:
            container.metadata["creation_time"] = created
        for index in range(count):
            noise = random.integers(0, 8, image.shape, np.uint8)
            frame = av.VideoFrame.from_ndarray(image + noise, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
