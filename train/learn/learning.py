"""Learns the plates of a country: the command from the labels to the proven bundle."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from plateid.models.bundle import BundleSpec, read_spec
from train.dataset.grouping import Split, split_groups, with_joined_groups
from train.dataset.labelled_image import LabelledImage
from train.learn.detector_lesson import FIT, DetectorLesson, finds_all
from train.learn.gather import (
    DOWNLOADED,
    LearningRun,
    framed_images,
    gather,
    labels_hash,
    own_plates,
    read_folder,
    without_vehicles_of,
)
from train.learn.label_checks import check_texts, proving, shortage, warnings_about
from train.learn.learning_report import PAGE, Notes, write_report
from train.learn.new_bundle import write_bundle
from train.learn.reader_lesson import ReaderLesson
from train.learn.rehearsal import Rehearsal
from train.learn.teaching import Lesson, teach
from train.machine import alone_in
from train.record import begin
from train.train_error import TrainError

BEGUN, LASTING = "begun.json", ("replay.sqlite3", "forgetting.sqlite3")
"""Record of a run, and files that do not depend on labels and options."""


class RefusedError(Exception):
    """The gate refuses all new networks. The message has one line for each reason."""


def learn(run: LearningRun) -> Path:
    """Writes the bundle and returns its folder. The same command resumes an interrupted run.

    Raises TrainError or PlateidError if something cannot be used, RefusedError if the new network
    is not better or has forgotten other plates. The report is then in the folder of the run.
    """
    if not run.minutes > 0:  # NaN fails as well
        raise TrainError(f"--minutes {run.minutes}: must be more than 0")
    if run.out.is_file() or (run.out.is_dir() and any(run.out.iterdir())):
        raise TrainError(f"--out {run.out}: already exists")
    try:
        with alone_in(run.work), _without_leftovers(run.work):
            _learn(run, time.monotonic()).rename(run.out)
            shutil.rmtree(run.work)
    except OSError as error:
        raise TrainError(f"{run.work}: {error}; run the same command again to resume") from error
    return run.out


@contextmanager
def _without_leftovers(work: Path) -> Iterator[None]:
    """Deletes a run's folder if it holds nothing to resume. Other runs must not use it."""
    try:
        yield
    finally:
        if not any((*(work / DOWNLOADED).glob("*.zip"), *work.glob(BEGUN))):
            shutil.rmtree(work, ignore_errors=True)


def _learn(run: LearningRun, began_s: float) -> Path:
    """Returns the folder of the new bundle, which is not yet at its place."""
    spec, images = read_spec(run.base), gather(run.sources, run.work)
    try:
        lessons, warnings = _prepare(run, spec, images)
    except TrainError:
        if not (run.work / BEGUN).exists():  # devices may get more labels
            shutil.rmtree(run.work / DOWNLOADED, ignore_errors=True)
        raise
    taught = [teach(lesson(), run.work, trust=run.trust) for lesson in lessons]
    shipped = [each for each in taught if run.force or not each.reasons]
    facts = write_bundle(run, shipped) if shipped else {}
    folder = run.work / "bundle" if shipped else run.work
    minutes = (time.monotonic() - began_s) / 60
    write_report(folder, taught, Notes(run.sources.names, warnings, minutes, facts))
    reasons = [f"{each.network}: {reason}" for each in taught for reason in each.reasons]
    if not shipped:
        shutil.rmtree(run.work / DOWNLOADED, ignore_errors=True)  # devices may get more labels
        raise RefusedError("\n".join([*reasons, f"report: {folder / PAGE}"]))
    for line in reasons:
        click.echo(line, err=True)
    return folder


def _prepare(
    run: LearningRun, spec: BundleSpec, images: Sequence[LabelledImage]
) -> tuple[list[Callable[[], Lesson[Any]]], list[str]]:
    """Checks labels. Returns what gives the lessons, and warnings about the labels.

    A network with too few labels has no lesson; raises TrainError if none has enough.
    """
    check_texts(images)
    plates, framed = own_plates(images), framed_images(images)
    numbers, said = proving(plates, self_labels=run.sources.self_labels)
    few = {
        "reader": shortage("labels with a text", [plates[n].vehicle for n in numbers], "vehicles"),
        "detector": shortage("images with a box", [i.group for i in framed if i.boxes], "scenes"),
    }
    networks = [network for network, line in few.items() if not line]
    lines = [line for line in few.values() if line and not line.startswith("0 ")]
    if not networks:
        raise TrainError("\n".join(lines or [few["reader"]]))
    if len(networks) > 1 and finds_all(run.base, framed):
        networks.remove("detector")
        lines.append("the detector finds the labelled plates already: it stays as it is")
    kept, count = _read_kept(run.keep, images)
    if count:
        lines.append(f"--keep: {count} images show vehicles of your labels: they are left out")
    lines = [*warnings_about(images, plates), *filter(None, [said]), *lines]
    for line in lines:
        click.echo(line, err=True)
    rehearsal = Rehearsal(run.work, run.minutes / len(networks))
    lessons: list[Callable[[], Lesson[Any]]] = []
    if "reader" in networks:
        reader = ReaderLesson(run.base, (plates, numbers), kept, rehearsal)
        lessons.append(lambda: reader)
    if "detector" in networks:  # it renders at once
        others = framed_images(kept.images)
        lessons.append(lambda: DetectorLesson(run.base, framed, others, rehearsal))
    hashes = {"data_sha256": labels_hash(images), "kept_sha256": labels_hash(kept.images)}
    bases = {"base_sha256": [spec.reader.sha256, spec.detector.sha256]}
    _begin(run, run.settings | hashes | bases)
    return lessons, lines


def _read_kept(folders: Sequence[Path], images: Sequence[LabelledImage]) -> tuple[Split, int]:
    """Reads what must not be forgotten, and the number of images that are left out.

    No training sees a vehicle of your labels, or one that measures what is forgotten.
    """
    every = [image for folder in folders for image in read_folder(folder)]
    others = without_vehicles_of(images, every)
    training, measured = split_groups(with_joined_groups(others))
    kept = Split(without_vehicles_of(measured, training), measured)
    return kept, len(every) - len(others)


def _begin(run: LearningRun, settings: dict[str, Any]) -> None:
    """Writes the record of the run. If labels or options have changed, it starts again."""
    try:
        begin(run.work / BEGUN, settings)
    except TrainError:
        click.echo("labels or options have changed: starting again", err=True)
        for path in run.work.iterdir():
            if path.is_file() and not path.name.startswith(LASTING):  # SQLite adds -wal
                path.unlink()
        shutil.rmtree(run.work / FIT, ignore_errors=True)
        begin(run.work / BEGUN, settings)
