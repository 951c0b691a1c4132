"""The report card of a camera, on histories whose truth is known."""

import uuid
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from plateid.core.drawing import encode_jpeg
from plateid.core.records import Snapshot, rfc3339
from plateid.store import report_card
from plateid.store.history import History
from plateid.store.labels import Label, Labels
from plateid.store.report_card import (
    MAX_DRAWN,
    Period,
    _answered,
    _measured_until,
    make_report,
    published_share,
    random_order,
)
from plateid.store.report_light import SampledPass
from plateid.store.snapshot_files import SnapshotFiles
from plateid.store.unpublished import UnpublishedPasses
from tests.support.samples import NOON, event

DAY = Period(NOON - timedelta(hours=12), NOON + timedelta(days=300))
TEXTS = [f"B{number:02}AAA" for number in range(90)]


def simulated(rng, count):
    """Passes in random order: some of the first ones, and doubtful ones, have a label.

    The plates of the night, a random part of the street, are read much worse. A person cannot read
    some plates, and has not seen the newest passes yet.
    """
    ids = [str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(count)]
    places = {id_: place for place, id_ in enumerate(ids)}
    night = np.arange(count) < rng.uniform(0, 0.5) * count
    accuracy = np.where(night, rng.uniform(0.2, 1), rng.choice([0.9, 0.99, 1.0]))
    right, unread = rng.random(count) < accuracy, rng.random(count) < 0.05
    doubtful = ~right & (rng.random(count) < 0.3)
    asked, known = int(rng.integers(10, 70)), count * rng.uniform(0.6, 1)
    for id_ in random_order(ids):
        place = places[id_]
        asked -= place < known
        label = None
        if doubtful[place] or (asked >= 0 and place < known):
            verdict = "unreadable" if unread[place] else "plate"
            label = Label(id_, verdict, "right" if right[place] else "wrong", (0, 0, 1, 1))
        event = {"plate": "right", "first_seen": f"{place:06}", "is_right": bool(right[place])}
        yield SampledPass(event, Path(), label)


def test_interval_covers_the_truth_on_simulated_streets():
    rng, covered, widths = np.random.default_rng(5), Counter(), []
    for street in range(300):
        drawn = list(simulated(rng, int(rng.choice([20, 80, 300, 2000]))))
        until = _measured_until(drawn[:MAX_DRAWN], "999999")
        verdicts = Counter(each.is_right for each in _answered(drawn[:MAX_DRAWN], until))
        truth = [p.event["is_right"] for p in drawn if p.event["first_seen"] <= until]
        share = published_share(verdicts[True], verdicts[None], verdicts.total(), len(truth))
        covered[street // 100] += share.low <= sum(truth) / len(truth) <= share.high
        widths.append(share.high - share.low)
    assert min(covered.values()) >= 93
    assert np.median(widths) < 0.35


def test_random_order_is_the_same_for_ids_in_any_order():
    ids = [str(uuid.uuid4()) for _ in range(30)]
    assert random_order(ids) == random_order(reversed(ids)) != sorted(ids)


@pytest.fixture
def street(store):
    """A store with 90 passes by day and night, whose plates are 14 px high at night."""
    add_passes(store, TEXTS)
    return store


def add_passes(store, texts, after=0):
    """Adds a pass an hour, from `after` hours on.

    The ids decide the sample: random ones give one whose interval misses the truth in 4 % of runs.
    """
    files = SnapshotFiles(store.path)
    for number, text in enumerate(texts, after):
        at_night = number % 3 == 0
        image = np.full((180, 320, 3), 20 if at_night else 150, np.uint8)
        height = 14 if at_night else 40
        cv2.putText(image, text, (20, 20 + height), 0, height / 25, (230, 230, 230), 2)
        box = (18.0, 20.0, 20.0 + 5 * height, 22.0 + height)
        id_ = f"01939d2c-1a2b-7000-8000-{number:012}"
        made = event(number, id=id_, plate=text, event_type="plate_left", box=box)
        shot = replace(
            files.add(made.id, encode_jpeg(image, 90), hidden=False), frame=image.shape[1::-1]
        )
        seen = NOON + timedelta(hours=number)
        store.append(replace(made, pass_id=made.id, snapshot=shot, first_seen=seen))


def confirm(store, count, **texts):
    """Confirms passes as the page does; `texts` are the true ones of misread plates."""
    labels = Labels(store.path)
    for id_ in make_report(History(store.path), DAY).to_confirm[:count]:
        ((_, plate),) = store.rows("SELECT id, plate FROM event WHERE id = ?", id_)
        labels.add(Label(id_, "plate", texts.get(plate, plate), (1.0, 2.0, 30.0, 12.0)))


def test_report_asks_for_sixty_passes_and_then_says_how_many_are_right(street):
    history = History(street.path)
    card = make_report(history, DAY)
    assert (card.passes, len(card.to_confirm), card.hit_rate.best) == (90, 60, None)
    confirm(street, 60, **{text: text.replace("AAA", "AAB") for text in TEXTS[::2]})
    card = make_report(history, DAY)
    assert (card.to_confirm, card.right + card.wrong) == ((), 60)
    assert card.published.low < 0.5 < card.published.high
    assert card.published.best == card.right / 60
    assert card.confusions == (("A", "B", card.wrong),)
    assert "Label plates on the page Review, and train with them." in card.advice


def test_hit_rate_of_the_health_report_is_that_of_the_card(street, monkeypatch):
    monkeypatch.setattr(report_card, "WEEK", timedelta(days=36_500))
    rate = report_card.HitRate(street.path)
    rate.check()
    assert rate.value is None
    confirm(street, 60, **{TEXTS[0]: "WRONG1"})
    rate.check()
    assert rate.value is None, "measured every hour"
    rate = report_card.HitRate(street.path)
    rate.check()
    assert rate.value == pytest.approx(make_report(History(street.path), DAY).hit_rate.best)
    assert rate.value > 0.9


def test_labels_of_doubtful_plates_do_not_change_the_hit_rate(street):
    history, labels = History(street.path), Labels(street.path)
    last = make_report(history, DAY).to_confirm[-1]
    labels.add(Label(last, "plate", "WRONG1", (1.0, 2.0, 30.0, 12.0)))
    card = make_report(history, DAY)
    assert (card.right, card.wrong, card.published.best) == (0, 0, None)
    assert len(card.to_confirm) == 59


def test_new_passes_leave_the_answers_in_use(street):
    confirm(street, 60)
    history = History(street.path)
    before = make_report(history, DAY)
    assert before.measured_until == rfc3339(DAY.until)
    add_passes(street, TEXTS[:40], after=len(TEXTS))
    card = make_report(history, DAY)
    assert (card.passes, card.right, card.published.best) == (130, 60, 1.0)
    assert card.to_confirm
    assert card.measured_until < rfc3339(DAY.until)
    confirm(street, 60)
    assert make_report(history, DAY).measured_until == rfc3339(DAY.until)


def test_plates_that_a_person_cannot_read_widen_the_interval(street):
    confirm(street, 60)
    first = make_report(History(street.path), DAY)
    label = Labels(street.path).all()[0][0]
    Labels(street.path).add(replace(label, verdict="unreadable", text=""))
    second = make_report(History(street.path), DAY)
    assert (second.right, second.unknown, second.published.best) == (59, 1, 1.0)
    assert (second.published.low, second.published.high) < (first.published.low, 1.0)


def test_unpublished_passes_lower_the_hit_rate(street):
    confirm(street, 60)
    passes = UnpublishedPasses(street.path)
    passes.check({"gate": 3, "yard": 4}, now=True)
    passes.check({"gate": 10, "yard": 4}, now=True)
    card = make_report(History(street.path), replace(DAY, camera="gate"))
    assert (card.passes, card.unpublished) == (90, 10)
    assert card.hit_rate.best == pytest.approx(0.9)
    assert sum(missed for _, missed in card.hours.values()) == 10
    everywhere = make_report(History(street.path), DAY)
    assert any("13 % of the passes are never published" in text for text in everywhere.advice)


def test_advice_names_small_plates_at_night(street):
    card = make_report(History(street.path), DAY)
    day, night = card.lights
    assert (day.light, night.light, day.plates + night.plates) == ("day", "night", 60)
    assert any("At night: The plate is 16 px high" in text for text in card.advice)
    assert not any("By day: The plate is" in text and "px" in text for text in card.advice)


def test_hidden_and_deleted_images_are_not_asked_for(street):
    hidden = Snapshot("2026/11/24/01939d2c-1a2b-7c3d-8e4f-5a6b7c8d9e0f-hidden.jpg", "0" * 64)
    made = event(1, plate="HIDDEN1", event_type="plate_left", snapshot=hidden)
    street.append(replace(made, pass_id=made.id))
    before = make_report(History(street.path), DAY)
    SnapshotFiles(street.path).remove(before.to_confirm[:1])
    card = make_report(History(street.path), DAY)
    assert (card.passes, card.confirmable) == (91, 90)
    assert before.to_confirm[0] not in card.to_confirm


def test_counts_are_kept_until_the_disk_works(store, tmp_path):
    passes = UnpublishedPasses(store.path)
    blocker = store.path.with_name(f"{store.path.name}.labels")
    blocker.symlink_to(tmp_path / "nowhere")
    passes.check({"gate": 2}, now=True)
    blocker.unlink()
    passes.check({"gate": 3}, now=True)
    assert sum(passes.by_hour(DAY.since, DAY.until).values()) == 3


def test_pass_without_a_snapshot_cannot_be_confirmed(store):
    store.append(event(1, event_type="plate_left", snapshot=None))
    card = make_report(History(store.path), DAY)
    assert (card.passes, card.confirmable) == (1, 0)
