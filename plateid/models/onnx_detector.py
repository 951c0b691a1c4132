"""Finds plates in an image with a YOLO network."""

import numpy as np
from numpy.typing import NDArray

from plateid.core.geometry import corners, letterboxed, nms
from plateid.core.records import Detection, Image, LazyImage
from plateid.models.bundle import DetectorSpec
from plateid.models.session import NetworkSession


class OnnxDetector:
    """A plate detector for one thread at a time; several may share a session."""

    def __init__(
        self, session: NetworkSession, spec: DetectorSpec, *, threshold: float | None = None
    ) -> None:
        """Checks the network's shapes; `threshold` (score, 0-1) overrides the bundle's."""
        size = (spec.height, spec.width)
        session.check_shapes([1, *size, 3] if session.takes_uint8 else [1, 3, *size], [1, 5, None])
        self._session = session
        self._nms_iou = spec.nms_iou
        self._threshold = spec.threshold if threshold is None else threshold
        self._canvas = np.empty((*size, 3), dtype=np.uint8)

    def detect(self, image: LazyImage) -> list[Detection]:
        """Returns the plates of an image, highest score first; ModelError if the network fails."""
        letterbox = letterboxed(image, self._canvas)
        candidates = self._session.run(
            self._canvas[None] if self._session.takes_uint8 else to_detector_input(self._canvas)
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


def to_detector_input(image: Image) -> NDArray[np.float32]:
    """Converts a BGR uint8 image (H, W, 3) to an RGB float32 batch (1, 3, H, W) in 0-1."""
    planes = image[None, :, :, ::-1].transpose(0, 3, 1, 2)
    return np.ascontiguousarray(planes, np.float32) / np.float32(255)
