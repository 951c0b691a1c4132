"""Finds plates in an image with a YOLO network."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plateid.core.geometry import corners, letterboxed, nms
from plateid.core.records import Detection, Image, LazyImage
from plateid.models.bundle import DetectorSpec
from plateid.models.session import NetworkSession

COLUMNS = {"end2end": 6, "batched": 7}
"""Columns of the outputs that have a row for each box."""


class YoloSpec(DetectorSpec):
    """A drop-in detector, its layout, and the number of the class of plates.

    raw: (1, 4 + classes, N) of YOLOv8 and 11: centre, size, and a score of each class.
    end2end: (1, N, 6) of YOLO26 or `nms=True`: corners, score, class.
    batched: (N, 7) of open-image-models: image, corners, class, score.
    """

    layout: Literal["raw", "end2end", "batched"]
    plate_class: int

    def boxes(self, output: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
        """Returns the plates with this score or more, best first, as ultralytics' `predict` does.

        A row has the corners in input pixels, and the score.
        """
        if self.layout == "raw":
            best = output[0, 4:].argmax(axis=0) == self.plate_class
            kept = output[0].T[best & (output[0, 4 + self.plate_class] >= threshold)]
            found = np.hstack([corners(kept), kept[:, 4 + self.plate_class, None]])
            return found[nms(found[:, :4], found[:, 4], iou_threshold=self.nms_iou)]
        rows = output.reshape(-1, COLUMNS[self.layout])
        rows = rows[:, [0, 1, 2, 3, 5, 4]] if self.layout == "end2end" else rows[:, 1:]
        of_plates = (rows[:, 4] == self.plate_class) & (rows[:, 5] >= threshold)
        found = rows[of_plates][:, [0, 1, 2, 3, 5]]
        return np.asarray(found[np.argsort(-found[:, 4], kind="stable")])


class OnnxDetector:
    """A plate detector for one thread at a time; several may share a session."""

    def __init__(
        self, session: NetworkSession, spec: DetectorSpec, *, threshold: float | None = None
    ) -> None:
        """Checks the network's shapes; `threshold` (score, 0-1) overrides the bundle's."""
        size = (spec.height, spec.width)
        self._drop_in = spec if isinstance(spec, YoloSpec) else None
        if self._drop_in is None:
            shape = [1, *size, 3] if session.takes_uint8 else [1, 3, *size]
            session.check_shapes(shape, [1, 5, None])
        self._session = session
        self._nms_iou = spec.nms_iou
        self._threshold = spec.threshold if threshold is None else threshold
        self._canvas = np.empty((*size, 3), dtype=np.uint8)

    def detect(self, image: LazyImage, *, enlarges: bool = False) -> list[Detection]:
        """Returns the plates of an image, highest score first; ModelError if the network fails.

        `enlarges` lets it find plates that are too small to be read in this image.
        """
        # drop-in models were trained with enlarged images
        enlarges |= self._drop_in is not None
        letterbox = letterboxed(image, self._canvas, enlarges=enlarges)
        output = self._session.run(
            self._canvas[None] if self._session.takes_uint8 else to_detector_input(self._canvas)
        )
        rows = self._boxes(output)
        if not len(rows):
            return []
        boxes = letterbox.to_image(rows[:, :4])
        boxes = np.clip(boxes, 0, np.array([image.width, image.height] * 2, np.float32))
        kept = np.arange(len(rows))
        if self._drop_in is None:
            kept = nms(boxes, rows[:, 4], iou_threshold=self._nms_iou)
        return [
            Detection((x1, y1, x2, y2), score)
            for (x1, y1, x2, y2), score in zip(
                boxes[kept].tolist(), rows[kept, 4].tolist(), strict=True
            )
            if x2 > x1 and y2 > y1
        ]

    def _boxes(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns rows of corners (input pixels) and score."""
        if self._drop_in is not None:
            return self._drop_in.boxes(output, self._threshold)
        rows = output[0, :, output[0, 4] >= self._threshold]
        return np.hstack([corners(rows), rows[:, 4:]])


def to_detector_input(image: Image) -> NDArray[np.float32]:
    """Converts a BGR uint8 image (H, W, 3) to an RGB float32 batch (1, 3, H, W) in 0-1."""
    planes = image[None, :, :, ::-1].transpose(0, 3, 1, 2)
    return np.ascontiguousarray(planes, np.float32) / np.float32(255)
