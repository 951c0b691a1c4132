"""Finds plates in a picture with a YOLO network."""

import numpy as np
from numpy.typing import NDArray

from plateid.core.geometry import corners, letterboxed, nms
from plateid.core.records import Detection, Image, LazyImage
from plateid.models.bundle import DetectorSpec
from plateid.models.session import Session


class OnnxDetector:
    """Its buffers are its own, so it serves one thread at a time; the session may be shared."""

    def __init__(
        self, session: Session, spec: DetectorSpec, *, threshold: float | None = None
    ) -> None:
        """Checks that the network is what the bundle says; `threshold` replaces the bundle's."""
        size = (spec.height, spec.width)
        session.check_shapes([1, *size, 3] if session.takes_bytes else [1, 3, *size], [1, 5, None])
        self._session = session
        self._nms_iou = spec.nms_iou
        self._threshold = spec.threshold if threshold is None else threshold
        self._canvas = np.empty((*size, 3), dtype=np.uint8)

    def detect(self, image: LazyImage) -> list[Detection]:
        """The plates of a picture, best first.

        Raises:
            ModelError: The network failed.
        """
        letterbox = letterboxed(image, self._canvas)
        candidates = self._session.run(
            self._canvas[None] if self._session.takes_bytes else as_input(self._canvas)
        )[0]
        rows = candidates[:, candidates[4] >= self._threshold].T
        if not len(rows):
            return []
        boxes = letterbox.to_image(corners(rows))
        boxes = np.clip(boxes, 0, np.array([image.width, image.height] * 2, np.float32))
        kept = nms(boxes, rows[:, 4], iou_threshold=self._nms_iou)
        return [
            Detection((x1, y1, x2, y2), score)
            for (x1, y1, x2, y2), score in zip(
                boxes[kept].tolist(), rows[kept, 4].tolist(), strict=True
            )
            if x2 > x1 and y2 > y1
        ]


def as_input(image: Image) -> NDArray[np.float32]:
    """A picture of the input's size, BGR (H, W, 3), as a batch of one, RGB (1, 3, H, W), 0 to 1."""
    planes = image[None, :, :, ::-1].transpose(0, 3, 1, 2)
    return np.ascontiguousarray(planes, np.float32) / np.float32(255)
