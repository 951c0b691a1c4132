"""Backends that prove themselves: compared with the CPU and timed on real images."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping

from plateid.capture.video_file import read_video
from plateid.config.models import SHIPPED
from plateid.config.section import Section
from plateid.core.text import best_text
from plateid.errors import ModelError
from plateid.models.networks import Networks
from plateid.models.parity import Outputs, Parity, Sample

CPU = "cpu"
"""The backend with which the others are compared."""
VIDEO = SHIPPED.parent / "demo" / "demo.mp4"
"""The demo video, whose images are compared; demo.json beside it has the boxes of its plates."""
FRAMES, DETECT_EVERY = 300, 10
"""Frames that are compared: they have 221 plates to read; in 30 of them plates are detected."""
Progress = Callable[[int, int], object]
"""Is called with the number of frames that are done, and of all frames."""


class Measurement(Section):
    """What a backend proved with a bundle; `failure` says why it cannot be used.

    `parity` is empty if an inference failed, which is not kept.
    Of 30 inferences of each network, the fastest counts: other programs disturb it least.
    """

    backend: str
    detector_ms: float = 0.0
    reader_ms: float = 0.0
    parity: str = ""
    failure: str = ""

    @property
    def ms(self) -> float:
        """Time of an image with one plate, milliseconds."""
        return self.detector_ms + self.reader_ms


def measure(loaded: Mapping[str, Networks], progress: Progress) -> list[Measurement]:
    """Compares backends with the CPU, which is one of them, and times them in turn.

    Raises ModelError if the CPU fails.
    """
    trials = {name: _Trial(networks) for name, networks in loaded.items()}
    for sample in samples(progress):
        expected = trials[CPU].outputs(sample)
        for trial in trials.values():
            trial.run(sample, expected)
    return [trial.measurement(name) for name, trial in trials.items()]


def samples(progress: Progress) -> Iterator[Sample]:
    """Yields the images of the demo video that are compared, with the boxes of its plates."""
    scene = json.loads(VIDEO.with_suffix(".json").read_text())
    for number, frame in enumerate(itertools.islice(read_video(VIDEO), FRAMES)):
        progress(number, FRAMES)
        boxes = [
            vehicle["boxes"][number - vehicle["first_frame"]]
            for vehicle in scene["vehicles"]
            if vehicle["first_frame"] <= number <= vehicle["last_frame"]
        ]
        yield Sample(frame.image, number % DETECT_EVERY == 0, boxes)


class _Trial:
    """A backend that is measured; after a failure, nothing more happens to it."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._detector, self._reader = networks.detector(), networks.reader()
        self._parity = Parity()
        self._times_ms: list[tuple[float, float]] = []
        self._failure = ""

    def outputs(self, sample: Sample) -> Outputs:
        """Detects and reads the plates of a sample; raises ModelError."""
        found = self._detector.detect(sample.image) if sample.detects else []
        reads = self._reader.read(sample.image, sample.boxes)
        return found, [best_text(read.probabilities) for read in reads]

    def run(self, sample: Sample, expected: Outputs) -> None:
        """Compares the outputs, and times the networks with each image that is searched."""
        if self._failure:
            return
        try:
            threshold = self._networks.spec.detector.threshold
            self._parity.add(self.outputs(sample), expected, threshold=threshold)
            if sample.detects:
                self._times_ms.append(self._networks.self_test())
        except ModelError as error:
            self._failure = str(error)

    def measurement(self, backend: str) -> Measurement:
        parity = "" if self._failure else str(self._parity)
        if parity and not self._parity.passed:
            self._failure = f"differs from the CPU: {parity}"
        times_ms = [round(min(times), 2) for times in zip(*self._times_ms, strict=True)] or [0, 0]
        return Measurement(
            backend=backend,
            detector_ms=times_ms[0],
            reader_ms=times_ms[1],
            parity="reference" if backend == CPU else parity,
            failure=self._failure,
        )
