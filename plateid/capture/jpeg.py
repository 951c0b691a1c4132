"""Decodes JPEG images, and detects damage that OpenCV prints without the name of the image."""

import av
import av.error
import cv2
import numpy as np
import simplejpeg
from av.packet import Packet

from plateid.core.records import Image

_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_START_OF_SCAN = b"\xff\xda"


def decode_jpeg(data: bytes) -> tuple[Image | None, str | None]:
    """Returns the BGR pixels as stored, without Exif rotation, and what is damaged if anything is.

    The damaged part of the pixels is grey or wrong. Without any pixels, the image is None.
    """
    try:
        return simplejpeg.decode_jpeg(data, "BGR"), _ffmpeg_damage(data)
    except ValueError as error:
        damage = str(error)
    try:
        return simplejpeg.decode_jpeg(data, "BGR", strict=False), damage
    except ValueError:
        if _ffmpeg_damage(data) or not _has_whole_segments(data):
            return None, damage
    # TurboJPEG does not know each kind of chroma subsampling
    return cv2.imdecode(np.frombuffer(data, np.uint8), _AS_STORED), None


def _has_whole_segments(data: bytes) -> bool:
    """Returns whether the segments before the scan follow each other; OpenCV prints if not."""
    position = 2
    while data.startswith(b"\xff", position) and not data.startswith(_START_OF_SCAN, position):
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return data.startswith(_START_OF_SCAN, position)


def _ffmpeg_damage(data: bytes) -> str | None:
    """Finds coefficients beyond the end of a block, which libjpeg accepts.

    FFmpeg alone would not do: it accepts more data than the header states.
    """
    codec = av.CodecContext.create("mjpeg", "r")
    codec.thread_count = 1
    codec.options = {"err_detect": "explode", "lowres": "3"}  # 3: takes two thirds of the time
    try:
        codec.decode(Packet(data))
    except av.error.InvalidDataError:
        return "its coefficients are wrong"
    except av.error.FFmpegError:  # a kind of JPEG that FFmpeg does not know
        return None
    return None
