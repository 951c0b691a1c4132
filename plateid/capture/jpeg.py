"""Decodes JPEG images, and detects damage that OpenCV prints without the name of the image."""

from collections.abc import Mapping

import av
import av.error
import numpy as np
import simplejpeg
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from plateid.core.records import Image


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
        return _ffmpeg_image(data, damage)


def _ffmpeg_damage(data: bytes) -> str | None:
    """Finds coefficients beyond the end of a block, which libjpeg accepts.

    FFmpeg alone would not do: it accepts more data than the header states.
    """
    try:
        _ffmpeg_frames(data, {"lowres": "3"})  # takes two thirds of the time
    except av.error.InvalidDataError:
        return "its coefficients are wrong"
    except av.error.FFmpegError:  # a kind of JPEG that FFmpeg does not know
        return None
    return None


def _ffmpeg_image(data: bytes, damage: str) -> tuple[Image | None, str | None]:
    """Decodes kinds of chroma subsampling that TurboJPEG does not know."""
    try:
        (frame,) = _ffmpeg_frames(data, {})
    except (av.error.FFmpegError, ValueError):
        return None, damage
    return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8), None


def _ffmpeg_frames(data: bytes, options: Mapping[str, str]) -> list[VideoFrame]:
    codec = VideoCodecContext.create("mjpeg", "r")
    codec.thread_count = 1
    codec.options = {"err_detect": "explode", **options}
    return codec.decode(Packet(data))
