"""What the page says of the reader, and the plates that were read wrong, for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from markupsafe import Markup

from plateid.capture.images import read_image
from plateid.core.geometry import expanded
from plateid.models.bundle import ReaderSpec
from train.evaluation.calibration import RULE
from train.evaluation.chart import heat_map, reliability
from train.evaluation.confusion import edit_path
from train.evaluation.passes import GAP_S
from train.evaluation.reader import SHIFTS, STEPS, ReaderEvaluation
from train.evaluation.reader_table import COLUMNS, GROUPS, cell
from train.evaluation.reading import SURE, Answer
from train.evaluation.results import CHARACTER, named

WIDTH = 320
"""To which a smaller crop is enlarged, and a larger one scaled."""


@dataclass(frozen=True, eq=False)
class Card:
    """A plate that was read wrong in its true box.

    Attributes:
        answer: What was read there.
        found: What was read end to end; None where it was cut out.
        path: Pairs of what is there and what was read, "" where one side has nothing.
        jpeg: What the reader saw.
    """

    answer: Answer
    found: Answer | None
    path: Sequence[tuple[str, str]]
    jpeg: bytes


def reader_page(reader: ReaderEvaluation, spec: ReaderSpec) -> dict[str, Any]:
    """What `reader.html.j2` needs.

    Raises:
        SourceError: A picture can no longer be read.
    """
    fitted = reader.temperature
    curves = (
        {"as it was": fitted.before, f"temperature {fitted.value}": fitted.after}
        if fitted
        else {"reads": reader.calibration}
    )
    return {
        "cards": cards(reader, spec),
        "cell": cell,
        "character": CHARACTER,
        "columns": COLUMNS,
        "evaluation": reader,
        "gap_s": GAP_S,
        "groups": GROUPS,
        "heat_map": Markup(heat_map(reader.confusion)),  # noqa: S704 - characters of the charset
        "jitter": reader.jitter and dict(zip(SHIFTS, reader.jitter.shares, strict=True)),
        "named": named,
        "reliability": Markup(reliability(curves)),  # noqa: S704 - names of our own
        "rule": RULE,
        "steps": STEPS,
        "sure": SURE,
    }


def cards(reader: ReaderEvaluation, spec: ReaderSpec) -> list[Card]:
    """One for each of the worst.

    Raises:
        SourceError: A picture can no longer be read.
    """
    return [
        Card(
            answer=each,
            found=reader.found.get(each.plate),
            path=edit_path(each.plate.text, each.reading.plate),
            jpeg=_jpeg(each, spec),
        )
        for each in reader.worst
    ]


def _jpeg(answer: Answer, spec: ReaderSpec) -> bytes:
    picture = read_image(answer.plate.shot.path)
    crop = picture.crop(expanded(answer.plate.box, x=spec.margin_x, y=spec.margin_y))
    height = min(2 * WIDTH, max(1, round(crop.shape[0] * WIDTH / crop.shape[1])))
    scaled = cv2.resize(crop, (WIDTH, height), interpolation=cv2.INTER_CUBIC)
    _, data = cv2.imencode(".jpg", scaled, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return np.asarray(data).tobytes()
