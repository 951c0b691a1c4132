"""Posts of Hikvision, Dahua and Axis cameras; `tests.support.camera_posts` names the sources."""

import json
import sys
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from plateid.capture.camera_posts import MAX_KNOWN, UNSTATED, PostedReads, parse_post
from plateid.core.drawing import encode_jpeg
from plateid.errors import SourceError
from tests.support.camera_posts import HEARTBEATS, JSON, MULTIPART, axis, dahua, hikvision

PICTURE = encode_jpeg(np.zeros((8, 16, 3), np.uint8), 90) + b"\r\n--bound\r\n\r\n"
"""A picture whose last bytes resemble a separator."""
MAKERS = [hikvision, dahua, axis, lambda *values, **kw: axis(*values, parts=False, **kw)]


class Reads(PostedReads):
    """Keeps what it publishes in `got`."""

    def __init__(self) -> None:
        self.got: list = []
        super().__init__(lambda *read: self.got.append(read))

    def taken(self, *sample) -> list:
        self.take(*sample)
        return self.got


@pytest.mark.parametrize("maker", MAKERS)
def test_post_of_each_maker_has_plate_confidence_and_whole_picture(maker):
    ((reading, _, image),) = Reads().taken(*maker(picture=PICTURE))
    assert (reading.plate, reading.plate_raw, reading.reads) == ("AB12", "AB12", 1)
    assert reading.confidence == reading.candidates[0].confidence == pytest.approx(0.93)
    assert reading.char_confidences == pytest.approx((0.93,) * 4)
    assert (image.width, image.height) == (16, 8)
    assert parse_post(*maker(picture=PICTURE)).image == PICTURE


@pytest.mark.parametrize("maker", MAKERS)
def test_post_without_a_picture_is_published(maker):
    ((_, _, image),) = Reads().taken(*maker())
    assert image is None


@pytest.mark.parametrize("sample", HEARTBEATS)
def test_heartbeat_publishes_nothing(sample):
    assert Reads().taken(*sample) == []


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("plate", ["", None, "unknown", "no plate", "Unlicensed", "-", "A" * 21])
def test_post_of_an_unread_plate_is_refused(maker, plate):
    with pytest.raises(SourceError, match="post: has no plate that the camera could read"):
        Reads().take(*maker(plate))


def test_long_identifier_is_not_kept():
    reads = Reads()
    body = json.dumps({"plateUTF8": "AB12", "carID": "9" * 1_000_000}).encode()
    assert len(reads.taken(JSON, body)) == len(reads.taken(JSON, body)) == 1
    assert sys.getsizeof(reads._known[0][0]) < 100


def test_accents_and_other_alphabets_become_latin():
    assert parse_post(*axis("TÖLSL123")).plate == "TOLSL123"
    assert parse_post(*dahua("А123ВС 77")).plate == "A123BC77"  # noqa: RUF001 - Cyrillic


BOMB = b"""<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><EventNotificationAlert>
<eventType>ANPR</eventType><ANPR><licensePlate>&b;</licensePlate></ANPR></EventNotificationAlert>"""
EXTERNAL = BOMB.replace(b'"ha"', b'SYSTEM "file:///etc/hostname"')
INVALID = [
    (JSON, b""),
    (JSON, b"[]"),
    (JSON, b'{"Picture": '),
    (JSON, b'{"a":' * 100_000),
    (JSON, b'{"plateUTF8": "AB12", "ImageArray": [{"BinaryImage": "A"}]}'),
    ("text/xml", b"<EventNotificationAlert>"),
    ("text/xml", b'<?xml version="1.0" encoding="nonsense"?><a/>'),
    ("text/xml", BOMB),
    ("text/xml", EXTERNAL),
    (MULTIPART, hikvision()[1].replace(b"--boundary", b"--another")),
    (MULTIPART, b"--boundary\r\n\r\n\xff\xd8\r\n--boundary--"),
]


@pytest.mark.parametrize("sample", INVALID)
def test_invalid_post_is_refused_with_one_reason(sample):
    with pytest.raises(SourceError, match="post: is not JSON, nor XML of a usual size"):
        parse_post(*sample)


ENTITIES = "".join(f'<!ENTITY x{n} "{f"&x{n - 1};" * 10 if n else "ha"}">' for n in range(30))
BOMBS = [
    f"<!DOCTYPE a [{ENTITIES}]><a>&x29;</a>".encode(),
    b"<a>" + b"<b/>" * 1_900_000 + b"</a>",
    b"<a>" * 1_100_000 + b"</a>" * 1_100_000,
]


@pytest.mark.parametrize("bomb", BOMBS, ids=["entities", "wide", "deep"])
def test_xml_bomb_is_refused_in_milliseconds(bomb):
    started = time.monotonic()
    with pytest.raises(SourceError):
        parse_post("text/xml", bomb)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("value", ["", "x", None, [], "nan", "1e999"])
def test_post_without_a_usable_confidence_has_the_stated_default(value):
    ((reading, _, _),) = Reads().taken(*axis(plateConfidence=value))
    assert reading.confidence == UNSTATED


def test_confidence_beyond_the_scale_is_clipped():
    ((reading, _, _),) = Reads().taken(*hikvision(confidence=180))
    assert reading.confidence == 1


@pytest.mark.parametrize("age_h", [0.5, 23])
def test_time_of_the_camera_counts_if_its_clock_may_be_right(age_h):
    at = datetime.now(UTC) - timedelta(hours=age_h)
    ((_, hikvision_at, _),) = Reads().taken(*hikvision(time=at.isoformat()))
    ((_, axis_at, _),) = Reads().taken(*axis(capture_timestamp=int(at.timestamp() * 1000)))
    assert hikvision_at == at
    assert abs(axis_at - at) < timedelta(seconds=1)


@pytest.mark.parametrize("age_h", [-2, 25, 400_000])
def test_arrival_counts_if_the_clock_of_the_camera_is_wrong(age_h):
    at = datetime.now(UTC) - timedelta(hours=age_h)
    for sample in (
        hikvision(time=at.isoformat()),
        hikvision(time=at.replace(tzinfo=None).isoformat()),
        axis(capture_timestamp=int(at.timestamp() * 1000)),
        axis(capture_timestamp="9" * 40),
        dahua(),
    ):
        ((_, taken_at, _),) = Reads().taken(*sample)
        assert abs(taken_at - datetime.now(UTC)) < timedelta(seconds=60)


@pytest.mark.parametrize("maker", MAKERS)
def test_repeated_post_is_published_once(maker):
    reads = Reads()
    for _ in range(3):
        reads.take(*maker(picture=PICTURE))
    assert len(reads.got) == 1


def test_next_vehicle_and_the_same_vehicle_later_are_published():
    reads = Reads()
    for sample in (
        *(hikvision(), hikvision(uuid="a0ff"), hikvision("CD 34")),
        *(dahua(), dahua(AccurateTime="2026-11-24 14:55:00.000")),
        *(axis(), axis(carID="34940")),
    ):
        reads.take(*sample)
    assert len(reads.got) == 7


def test_post_that_could_not_be_published_is_taken_again():
    failures = [SourceError("gate", "is too low")]

    def publish(*_: object) -> None:
        if failures:
            raise failures.pop()
        published.append(1)

    published, reads = [], PostedReads(publish)
    with pytest.raises(SourceError):
        reads.take(*dahua())
    reads.take(*dahua())
    assert published == [1]


def test_memory_of_posts_is_bounded():
    reads = Reads()
    for number in range(MAX_KNOWN + 1):
        reads.take(*dahua(AccurateTime=str(number)))
    reads.take(*dahua(AccurateTime="0"))
    reads.take(*dahua(AccurateTime=str(MAX_KNOWN)))
    assert len(reads.got) == MAX_KNOWN + 2


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (b"no image", "is not a JPEG"),
        (PICTURE[:-200], "is truncated"),
    ],
)
def test_picture_that_cannot_be_used_is_logged_and_the_plate_published(picture, reason, logs):
    ((reading, _, image),) = Reads().taken(*hikvision(picture=picture))
    assert (reading.plate, image) == ("AB12", None)
    (line,) = logs
    assert reason in line["reason"]
