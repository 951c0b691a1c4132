"""JPEG encoding of images."""

import cv2

from plateid.core.records import Image


def encode_jpeg(image: Image, quality: int) -> bytes:
    """Returns a BGR image, shape (H, W, 3), as JPEG of a quality from 0 to 100."""
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
