"""Learns the plates of a country: the command from the labels to the proven bundle."""

import shutil
import time
from pathlib import Path
from typing import Any

import click

from plateid.models.bundle import read_spec
from train.dataset.labelled_image import data_hash
from train.learn.examination import examine
from train.learn.fine_tuning import on_line
from train.learn.gather import DOWNLOADED, gather, own_plates
from train.learn.label_checks import check_count, check_texts, suspects, warnings_about
from train.learn.learning_report import PAGE, Notes, write_report, write_suspects
from train.learn.learning_run import LearningRun
from train.learn.lesson import Lesson
from train.learn.new_bundle import write_bundle
from train.learn.proof import refusals
from train.learn.rehearsal import Rehearsal
from train.machine import alone_in
from train.reader.platenet import PlateNet
from train.reader.reader_weights import load_base
from train.record import begin
from train.train_error import TrainError

BEGUN, LASTING = "begun.json", ("replay.sqlite3", "forgetting.sqlite3")
"""Record of a run, and files that do not depend on labels and options."""


class RefusedError(Exception):
    """The gate refuses the new network. The message has one line for each reason."""


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
        with alone_in(run.work):
            _learn(run, time.monotonic()).rename(run.out)
        shutil.rmtree(run.work)
    except OSError as error:
        raise TrainError(f"{run.work}: {error}; run the same command again to resume") from error
    finally:
        if not any((run.work / name).exists() for name in (BEGUN, DOWNLOADED)):
            shutil.rmtree(run.work, ignore_errors=True)
    return run.out


def _learn(run: LearningRun, began_s: float) -> Path:
    """Returns the folder of the new bundle, which is not yet at its place."""
    lesson, warnings = _prepare(run)
    networks = lesson.train_folds()
    doubts = suspects(lesson.own, lesson.held_out(networks, 1))
    write_suspects(run.work, lesson.own, doubts)
    left_out = () if run.trust else tuple(each.number for each in doubts)
    counted = [number for number in range(len(lesson.own)) if number not in left_out]
    last = lesson.train_last(networks, counted)
    results = examine(lesson, networks, last, counted)
    reasons = refusals(results.proof, results.chosen)
    facts = None
    if run.force or not reasons:
        weights = on_line(lesson.base, last, results.chosen.share)
        facts = write_bundle(run, lesson, results, weights)
    folder = run.work if facts is None else run.work / "bundle"
    minutes = (time.monotonic() - began_s) / 60
    notes = Notes(run.sources.names, warnings, doubts, len(left_out), reasons, minutes, facts)
    write_report(folder, results, notes)
    if facts is None:
        shutil.rmtree(run.work / DOWNLOADED, ignore_errors=True)  # devices may get more labels
        raise RefusedError("\n".join([*reasons, f"report: {folder / PAGE}"]))
    return folder


def _prepare(run: LearningRun) -> tuple[Lesson, list[str]]:
    """Gathers and checks labels. Returns the lesson, and warnings about the labels."""
    network, spec = PlateNet(), read_spec(run.base)
    load_base(network, run.base)
    images = gather(run.sources, run.work)
    check_texts(images)
    own = own_plates(images)
    check_count(own)
    warnings = list(warnings_about(images, own))
    for line in warnings:
        click.echo(line, err=True)
    hashes = {"data_sha256": data_hash(images), "base_sha256": spec.reader.sha256}
    _begin(run, run.settings | hashes)
    rehearsal = Rehearsal(run.work, run.minutes)
    return Lesson(network.state_dict(), own, run.keep, rehearsal), warnings


def _begin(run: LearningRun, settings: dict[str, Any]) -> None:
    """Writes the record of the run. If labels or options have changed, it starts again."""
    try:
        begin(run.work / BEGUN, settings)
    except TrainError:
        click.echo("labels or options have changed: starting again", err=True)
        for path in run.work.iterdir():
            if path.is_file() and path.name not in LASTING:
                path.unlink()
        begin(run.work / BEGUN, settings)
