"""Plates and reads that are known in every detail."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from plateid.core.records import PlateRead
from plateid.core.text import CHARSET
from train.dataset.formats.image_labels import LabelledBox
from train.evaluation.reading import Answer, published
from train.evaluation.results import Shot, Transcribed


def read(text: str, sure: float = 0.9, *, height: float = 30.0) -> PlateRead:
    """A sharp read whose every character has this probability; the others share the rest."""
    rest = (1 - sure) / len(CHARSET)
    slots = np.full((len(text), 1 + len(CHARSET)), rest, np.float32)
    slots[range(len(text)), [1 + CHARSET.index(character) for character in text]] = sure
    return PlateRead(slots, 1.0, height)


def plate(text: str, crop: PlateRead | None = None, **changes) -> Transcribed:
    """A plate of 200 x 40 pixels, found with a score of 0.9, and read right where not said."""
    labels = LabelledBox((0, 0, 200, 40), text=text, **changes.pop("labels", {}))
    crop = crop or read(text)
    every = {"found": crop, "score": 0.9, **changes}
    every["found"] = every["found"] and (every["found"],)
    every["jittered"] = tuple((each,) for each in every.get("jittered", ()))
    made = Transcribed(
        source="data",
        shot=Shot(Path("a.png")),
        labels=labels,
        box=labels.xyxy,
        luma=100.0,
        moment=None,
        crop=(crop,),
    )
    return replace(made, **every)


def answer(text: str, said: str, sure: float = 0.9) -> Answer:
    """What is published of a plate that was read so."""
    made = plate(text, read(said, sure))
    return Answer(made, published(made.crop))
