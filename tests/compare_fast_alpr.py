"""Compares the time per image of plateid with that of a pipeline like fast-alpr.

python -m tests.compare_fast_alpr --reader cct_xs.onnx IMAGES...

Both pipelines read the same images in turn, one thread each. The other one is YOLO nano at 640 x
640 and CCT-XS in ONNX Runtime, with the pre-processing of open-image-models and fast-plate-ocr. The
time does not depend on the weights: the detector has random ones, and CCT-XS is exported to ONNX by
`fast_plate_ocr.train.model.model_builders.build_model` with models/cct_xs_v1.yaml. It reads the
plates that plateid detects. Accuracy is not compared, because the trained weights could not be
downloaded. Runs in the trainer's environment.
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from plateid.capture.images import find_sources, read_image
from plateid.config.models import ModelsConfig, bundle_path
from plateid.core.reading import read_detections
from plateid.models.networks import Networks
from plateid.models.session import NetworkSession
from train.export.latency import reference_session

DETECTOR_PX = 640
"""Side of the detector's input, pixels."""
READER_SIZE = 128, 64
"""Width and height of the reader's input, pixels."""
SCORE, IOU = 0.25, 0.45
"""Minimum score of a box, and IoU at which NMS drops the lower one: the defaults of ultralytics."""
ROUNDS = 3
"""Runs per image."""


class FastAlprPipeline:
    """Detects and reads plates with the steps of fast-alpr."""

    def __init__(self, reader: Path) -> None:
        self._detector = reference_session()
        self._reader = NetworkSession(str(reader), reader.read_bytes())

    def detect(self, image: np.ndarray) -> np.ndarray:
        """Returns boxes as open_image_models.detection.core.yolo_v9 does."""
        height, width = image.shape[:2]
        scale = min(DETECTOR_PX / height, DETECTOR_PX / width)
        size = round(width * scale), round(height * scale)
        left, top = (DETECTOR_PX - size[0]) // 2, (DETECTOR_PX - size[1]) // 2
        scaled = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        canvas = cv2.copyMakeBorder(
            scaled,
            top,
            DETECTOR_PX - size[1] - top,
            left,
            DETECTOR_PX - size[0] - left,
            cv2.BORDER_CONSTANT,
            value=(114, 114, 114),
        )
        blob = np.ascontiguousarray(canvas[:, :, ::-1].transpose(2, 0, 1))[None]
        rows = self._detector.run(blob.astype(np.float32) / 255)[0].T
        rows = rows[rows[:, 4] >= SCORE]
        corner = np.hstack([rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]])
        kept = cv2.dnn.NMSBoxes(corner.tolist(), rows[:, 4].tolist(), SCORE, IOU)
        return rows[np.asarray(kept, dtype=int).ravel()]

    def read(self, image: np.ndarray, box: tuple[float, float, float, float]) -> str:
        """Reads one crop as fast_plate_ocr.core.process does: RGB, aspect ratio kept."""
        x1, y1, x2, y2 = (max(0, int(value)) for value in box)
        crop = cv2.cvtColor(image[y1 : y2 + 1, x1 : x2 + 1], cv2.COLOR_BGR2RGB)
        width, height = READER_SIZE
        scale = min(width / crop.shape[1], height / crop.shape[0])
        size = max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale))
        canvas = np.full((height, width, 3), 114, np.uint8)
        left, top = (width - size[0]) // 2, (height - size[1]) // 2
        canvas[top : top + size[1], left : left + size[0]] = cv2.resize(crop, size)
        scores = self._reader.run(canvas[None].astype(np.float32))
        return str(scores.argmax(axis=-1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--reader", type=Path, required=True)
    parser.add_argument("--bundle", default="default")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    networks = Networks(ModelsConfig(bundle=Path(bundle_path(options.bundle))))
    detector, reader, other = (
        networks.detector(),
        networks.reader(),
        FastAlprPipeline(options.reader),
    )
    files = [file for folder in options.images for file in find_sources(folder)]
    ours, theirs, plates = [], [], 0
    for image in map(read_image, files):
        pixels = image.resized(image.width, image.height)
        for _ in range(ROUNDS):
            started = time.perf_counter()
            found = detector.detect(image)
            read_detections(image, found, reader.read)
            ours.append(time.perf_counter() - started)
            started = time.perf_counter()
            other.detect(pixels)
            for each in found:
                other.read(pixels, each.box)
            theirs.append(time.perf_counter() - started)
        plates += len(found)
    a, b = (1000 * float(np.median(times)) for times in (ours, theirs))
    sys.stdout.write(
        f"{len(files)} images, {plates} plates; median per image: plateid {a:.1f} ms, "
        f"YOLO nano at {DETECTOR_PX} and CCT-XS {b:.1f} ms; ratio {a / b:.3f}, "
        f"ratio of the sums {sum(ours) / sum(theirs):.3f}\n"
    )


if __name__ == "__main__":
    main()
