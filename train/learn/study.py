"""Measures `train learn`: learns each country from few labels, and reads its other plates.

A base that was trained without a country shows most (`train evaluate --leave-out`). No training
sees the plates of --keep: they show what is forgotten.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from plateid.core.text import fold
from plateid.files import write_whole
from plateid.models.bundle import Bundle, read_spec
from train.dataset.grouping import split_groups, with_joined_groups
from train.learn.gather import LearningRun, Sources, labels_hash, own_plates, read_folder
from train.learn.inputs import texts_in
from train.learn.learning import RefusedError, learn
from train.learn.proof import paired_bootstrap
from train.learn.rehearsal import Rehearsal, layouts_like
from train.reader.real_plates import RealPlate, framed, plates_of, whole_crop
from train.record import begin
from train.synth.flat_plate import draw_plate
from train.synth.layouts import PlateLayout
from train.synth.surroundings import mount_on_vehicle
from train.synth.viewpoint import crop_plate
from train.train_error import TrainError

LABELS, SEEDS, TESTED = (20, 100), (0, 1, 2), (50, 300)
"""Numbers of labels, seeds of their choice, and how many plates of other vehicles are read."""
RENDERED = {"ten digits": ("DDDDD DDD DD", 1), "two lines": ("LL / DDDD", 2)}
"""Rendered countries: the pattern of their plates, and its rows."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
KINDS = {"D": "0123456789", "L": LETTERS}
"""What the parts of a pattern stand for."""
CAPS_PX, BLUR, NOISE, ENLARGED = (13, 40), 0.06, 5, 2
"""A clear camera: height of the characters, greatest blur in these heights, greatest noise in grey
levels; plates are drawn larger by the last factor."""
SEED = 26006
"""Seed of their plates. No training uses it."""
HEADINGS = ("country", "labels", "exact before", "after", "folded before", "after", "p",
            "other countries: mean loss", "worst loss", "minutes", "refused")  # fmt: skip
Plates = Sequence[RealPlate]


def study(run: LearningRun) -> str:
    """Returns a Markdown table, which is also in OUT/study.md. The same command resumes.

    Raises TrainError if something cannot be used.
    """
    folders = {path.resolve().name: read_folder(path) for path in run.sources.data}
    if len(folders) < len(run.sources.data):
        raise TrainError("--study: two folders of --data have the same name")
    spec, hashes = read_spec(run.base), [*map(labels_hash, folders.values())]
    sha256 = {"data_sha256": hashes, "base_sha256": [spec.reader.sha256, spec.detector.sha256]}
    begin(run.out / "begun.json", run.settings | sha256)
    for every_format in ("forgetting", "replay"):
        Rehearsal(run.out, np.inf).crops(every_format)
    real = {name: [own.plate for own in own_plates(each)] for name, each in folders.items()}
    known = {path.resolve().name: ((), _held_out(path)) for path in run.keep}
    countries = {
        seed: real | {name: _rendered(name, *form, seed) for name, form in RENDERED.items()}
        for seed in SEEDS
    }
    rows: list[Sequence[object]] = []
    for labels, name in product(LABELS, [*real, *RENDERED]):
        cells = []
        for seed, plates in countries.items():
            sides = {n: _sides(p, labels, seed) for n, p in plates.items()} | known
            if len(sides[name][1]) >= TESTED[0]:
                cells.append(_cell(run, run.out / f"{name}-{labels}-{seed}.json", sides, name))
        if cells:
            rows.append((name, labels, *_figures(name, cells)))
    write_whole(run.out / "study.json", json.dumps([HEADINGS, *rows]).encode())
    lines = (" | ".join(map(str, row)) for row in (HEADINGS, ["---"] * len(HEADINGS), *rows))
    table = "\n".join(f"| {line} |" for line in lines)
    write_whole(run.out / "study.md", table.encode())
    return table


def _held_out(folder: Path) -> Plates:
    """Returns the plates that no shipped bundle was trained on."""
    held_out = split_groups(with_joined_groups(read_folder(folder))).validation
    return [plate for image in held_out for _, plate in plates_of(image) if plate.text]


def _rendered(name: str, pattern: str, rows: int, seed: int) -> Plates:
    """Renders the plates of one country: one design for a seed, and the camera sees them well."""
    layout = layouts_like(["0"], rows - 1.0)[seed]
    plain = {"background": layout.background[:1], "captions": (), "graphics_share": 0.0}
    form = {"patterns": (pattern,), "letters": LETTERS, "stickers": 0.0}
    design = layout.model_copy(update=plain | form)
    return [_clear_plate(name, design, (seed, number)) for number in range(2 * TESTED[1])]


def _clear_plate(name: str, design: PlateLayout, number: tuple[int, int]) -> RealPlate:
    rng, same = np.random.default_rng((SEED, *number)), np.random.default_rng((SEED, number[0]))
    text = "".join(str(rng.choice(list(KINDS.get(part, part)))) for part in design.patterns[0])
    cap = rng.uniform(*CAPS_PX)
    plate = draw_plate(same, design, "", cap=ENLARGED * cap, text=text)
    crop = crop_plate(rng, *mount_on_vehicle(rng, plate.image), plate.boxes).image
    soft = cv2.GaussianBlur(crop, (0, 0), ENLARGED * cap * rng.uniform(0.01, BLUR))
    small = cv2.resize(soft, None, fx=1 / ENLARGED, fy=1 / ENLARGED, interpolation=cv2.INTER_AREA)
    lit = rng.uniform(0.6, 1.1) * small + rng.normal(0, rng.uniform(1, NOISE), small.shape)
    return whole_crop(np.clip(lit, 0, 255).astype(np.uint8), plate.text, name)


def _sides(plates: Plates, labels: int, seed: int) -> tuple[Plates, Plates]:
    """Returns plates to learn, one of each vehicle, and plates of other vehicles."""
    shuffled = [plates[n] for n in np.random.default_rng(seed).permutation(len(plates))]
    labelled = [*{fold(each.text): each for each in shuffled}.values()][:labels]
    known = {fold(each.text) for each in labelled}
    return labelled, [each for each in shuffled if fold(each.text) not in known][: TESTED[1]]


def _cell(
    run: LearningRun, file: Path, sides: Mapping[str, tuple[Plates, Plates]], name: str
) -> dict[str, Any]:
    """Learns a country unless it is done. Returns the report, and what is read in all countries."""
    if not file.is_file():
        labels = _write_labels(run.out / "labels", sides[name][0])
        once = replace(run, out=file.with_suffix(""), sources=Sources((labels,)), keep=())
        shutil.rmtree(once.out, ignore_errors=True)  # of an interrupted study
        once.work.mkdir(exist_ok=True)
        for rendered in run.out.glob("*.sqlite3"):
            shutil.copy(rendered, once.work)
        try:
            new = report = learn(once)
        except RefusedError:
            new, report = run.base, once.work
        result = json.loads((report / "report.json").read_text())
        reads = {each: _read((run.base, new), tested) for each, (_, tested) in sides.items()}
        write_whole(file, json.dumps(result | {"reads": reads}).encode())
        for folder in (once.out, once.work):
            shutil.rmtree(folder, ignore_errors=True)
    known: dict[str, Any] = json.loads(file.read_text())
    return known


def _write_labels(folder: Path, plates: Plates) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    rows = ["image,text"]
    for number, plate in enumerate(plates):
        crop = framed(plate, margin_x=0, margin_y=0)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), crop)
        rows.append(f"{number}.png,{plate.text}")
    write_whole(folder / "labels.csv", "\n".join(rows).encode())
    return folder


def _read(bundles: Sequence[Path], plates: Plates) -> list[list[str]]:
    """Returns the text of each plate, and what each bundle reads in its box."""
    loaded = [*map(Bundle, bundles)]
    reads = [texts_in(each.reader, each.spec.reader, plates) for each in loaded]
    return [*map(list, zip([each.text for each in plates], *reads, strict=True))]


def _figures(name: str, cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the rest of a row: the plates of all seeds, and the losses of the others."""
    own = [read for each in cells for read in each["reads"][name]]
    gains = np.array([(after == text) - (before == text) for text, before, after in own], float)
    p = paired_bootstrap(gains, [fold(text) for text, _, _ in own])
    parts = (part for each in cells for key, part in each["reads"].items() if key != name)
    losses = [before - after for before, after in (_right(fold, part) for part in parts)]
    values = (*_right(str, own), *_right(fold, own), p, np.mean(losses), np.max(losses))
    minutes = np.mean([each["minutes"] for each in cells])
    refused = sum(bool(each["reasons"]) for each in cells)
    return [*(f"{value:.3f}" for value in values), f"{minutes:.1f}", f"{refused}/{len(cells)}"]


def _right(form: Callable[[str], str], reads: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Returns the shares that are read correctly before and after."""
    right = [[form(text) == form(read) for read in both] for text, *both in reads]
    before, after = np.mean(right, axis=0).tolist()
    return before, after
