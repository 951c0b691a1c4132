"""Brings a bundle to devices: packs, signs and uploads it, and waits for its trial."""

import itertools
import json
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import cv2

from plateid.bundles.install import pack_bundle
from plateid.capture.images import ArrayImage
from plateid.config.models import ModelsConfig
from plateid.core.reading import read_detections
from plateid.models.bundle import read_spec
from plateid.models.networks import Networks
from train.export.torch_parity import demo_frame
from train.learn.gather import Sources, fetched
from train.progress import timed
from train.train_error import TrainError

MODELS_PATH = "/api/v1/models"
"""Where a device takes bundles and reports trials."""
GOLDEN_SIZE = 1280, 720  # of the demo's frame, which each device must read as this computer does
POLL_S, RESTART_S = 2.0, 120.0
"""Interval at which a device is asked for its trial, and its time to restart after it, seconds."""


def install(bundle: Path, sources: Sources, key: Path, minutes: float) -> None:
    """Installs a bundle on each device; raises TrainError unless all of them keep it."""
    archive, kept = bundle.with_name(f"{bundle.name}.tar"), 0
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "golden.png"
        golden = [] if read_spec(bundle).golden else [(image, _write_golden(bundle, image))]
        pack_bundle(bundle, golden, key=key, out=archive)
    for url in sources.devices:
        try:
            trial = _try_on(url, archive, sources, minutes)
        except TrainError as error:
            click.echo(f"Error: {error}", err=True)
            continue
        kept += trial["state"] == "kept"
        rates = " -> ".join(f"{rate:.3f}" for rate in trial.get("hit_rate", ()))
        state = f"{trial['state']} {trial['reason']}".strip()
        click.echo(f"{url}: {state}; {trial.get('reads', 0)} reads, hit rate {rates}")
    if kept < len(sources.devices):
        raise TrainError(f"{kept} of {len(sources.devices)} devices use {bundle}")


def _write_golden(bundle: Path, image: Path) -> str:
    """Writes an image of the demo video, and returns the plate that a bundle reads in it."""
    pixels, networks = demo_frame(*GOLDEN_SIZE), Networks(ModelsConfig(bundle=bundle))
    cv2.imwrite(str(image), pixels)
    frame = ArrayImage(pixels)
    plates = read_detections(frame, networks.detector().detect(frame), networks.reader().read)
    return plates[0].text if plates else ""


def _try_on(url: str, archive: Path, sources: Sources, minutes: float) -> dict[str, Any]:
    """Returns the trial of an archive on a device; it has ended unless there is little traffic."""
    fetched(sources, url, MODELS_PATH)  # a wrong token is known before the archive is sent
    signature = archive.with_name(f"{archive.name}.sig").read_bytes().hex()
    headers = {"Content-Type": "application/x-tar", "X-Signature": signature}
    path, data = f"{MODELS_PATH}?minutes={minutes}", archive.read_bytes()
    trial: dict[str, Any] = json.loads(fetched(sources, url, path, data, **headers))["trial"]
    until = time.monotonic() + 60 * minutes + RESTART_S
    for _ in timed(itertools.repeat(None), f"{url}: trial", 60 * minutes):
        time.sleep(POLL_S)
        with suppress(TrainError):  # it may restart
            now = json.loads(fetched(sources, url, MODELS_PATH))["trial"]
            trial = now if now["bundle"] == trial["bundle"] else trial
        if trial["state"] != "running" or time.monotonic() > until:
            break
    return trial
