"""A trial: a new bundle reads a sample of live traffic beside the bundle in use, for a time."""

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from plateid.bundles.archive import write_synced
from plateid.bundles.backend_choice import load_networks
from plateid.bundles.install import InstallTarget, install_bundle, rollback_bundle
from plateid.bundles.installed_bundles import InstalledBundles
from plateid.config.models import ModelsConfig
from plateid.core.formats import Formats
from plateid.core.lists import Lists
from plateid.core.reading import single_reading
from plateid.core.records import Box, LazyImage, PlateRead
from plateid.core.text import best_text
from plateid.errors import BundleError, ModelError
from plateid.models.bundle import read_spec
from plateid.models.networks import Networks
from plateid.service.systemd import Unit

STATE = "trial.json"
"""File with the last trial, in the folder of installed bundles."""
MIN_READS, MAX_READS, MAX_SAME = 30, 2000, 3
"""Size of the sample, and maximum number of its reads with one text: a parked vehicle must not
decide. A trial waits for the minimum after its time."""
MAX_FALLS = {"hit_rate": 0.02, "confidence": 0.05}
"""Greatest falls with which a bundle is kept. Its confidences are calibrated on other plates."""
Z_SCORE = 1.28
"""Standard errors by which a fall must exceed its limit: the reads of an equal bundle fall by
chance, too. The test is one-sided, at 90 %."""
CPU_SHARE = 0.05
"""Greatest share of the CPU time of the process that a trial takes."""
Read = Callable[[LazyImage, Sequence[Box]], list[PlateRead]]
log = structlog.get_logger()


class Shadow:
    """A bundle on trial, and what it is judged by: reads of the old and of the new bundle."""

    def __init__(self, bundle: Path, networks: Networks, minutes: float) -> None:
        self.bundle, self._reader = bundle, networks.reader()
        self._until, self._began_cpu_s = time.monotonic() + 60 * minutes, time.process_time()
        self._judged: list[tuple[list[float], list[float]]] = []  # of each read, old and new
        self._texts: Counter[str] = Counter()
        self._spent_s, self.failure = 0.0, ""
        self._lock = threading.Lock()

    def compare(
        self, image: LazyImage, box: Box, old: PlateRead, judge: Callable[[PlateRead], list[float]]
    ) -> None:
        """Reads a plate again, if it belongs to the sample; a failure ends the trial only."""
        with self._lock:
            text, began_s = best_text(old.probabilities), time.thread_time()
            allowed_s = CPU_SHARE * (time.process_time() - self._began_cpu_s)
            is_enough = self._texts[text] >= MAX_SAME or len(self._judged) >= MAX_READS
            if is_enough or self.failure or self._spent_s > allowed_s:
                return
            try:
                (new,) = self._reader.read(image, [box])
            except ModelError as error:
                self.failure = str(error)
                return
            self._judged.append((judge(old), judge(new)))
            self._texts[text] += 1
            self._spent_s += time.thread_time() - began_s

    def report(self) -> dict[str, Any]:
        """Returns the state, with means, and whether the bundle is kept once the trial is over."""
        judged = self._judged[:]
        values = np.array(judged) if judged else np.zeros((1, 2, len(MAX_FALLS)))
        means = dict(zip(MAX_FALLS, values.mean(0).round(3).T.tolist(), strict=True))
        left_s = max(0.0, self._until - time.monotonic())
        state, falls = "rolled back" if self.failure else "running", self.failure
        if not self.failure and left_s == 0 and len(judged) >= MIN_READS:
            drops = values[:, 0] - values[:, 1]
            errors = drops.std(0) / math.sqrt(len(drops))
            is_worse = drops.mean(0) > [*MAX_FALLS.values()] + Z_SCORE * errors
            falls = ", ".join(
                f"{key.replace('_', ' ')} falls from {old} to {new}"
                for (key, (old, new)), worse in zip(means.items(), is_worse, strict=True)
                if worse
            )
            state = "rolled back" if falls else "kept"
        shown = {"bundle": self.bundle.name, "state": state, "reason": falls, "reads": len(judged)}
        return shown | means | {"minutes_left": round(left_s / 60, 1)}


class BundleTrial:
    """Installs bundles in the running service: tries them first, and keeps them or goes back."""

    def __init__(
        self,
        models: ModelsConfig,
        *,
        file: Path | None,
        lists: Callable[[], Lists],
        restart: Callable[[], None],
    ) -> None:
        """A trial whose service has ended is over; `restart` requests the next service."""
        self._models, self._lists, self._restart = models, lists, restart
        self._target = InstallTarget(file or Path(), Unit(""), lambda *_: None)
        self._installed = InstalledBundles(models.installed)
        self._shadow: Shadow | None = None
        self._last = self._load()

    def _load(self) -> dict[str, Any] | None:
        try:
            last: dict[str, Any] = json.loads((self._installed.folder / STATE).read_text())
        except (OSError, ValueError):
            return None
        if last["state"] == "running":
            last |= {"state": "rolled back", "reason": "the service ended during the trial"}
        return last

    def _save(self, last: dict[str, Any]) -> None:
        write_synced(self._installed.folder / STATE, json.dumps(last).encode())
        self._last = last

    def install(self, archive: Path, minutes: float) -> None:
        """Begins the trial of an archive, which ends another; raises as `install_bundle`."""

        def begin(bundle: Path) -> None:
            networks = load_networks(self._models.model_copy(update={"bundle": bundle}))
            shadow = Shadow(bundle, networks, minutes)
            self._save(shadow.report())
            self._shadow = shadow
            log.info("trial begins", bundle=bundle.name, minutes=minutes)

        before = self._shadow
        install_bundle(str(archive), replace(self._target, use=begin))
        if self._shadow is before:
            raise BundleError(self._models.bundle.name, "is in use already")

    @property
    def active(self) -> str:
        """The name of the installed bundle in use; it ends with digits of its archive's SHA-256."""
        return self._installed.active.name

    def stop(self, digits: str, reason: str) -> None:
        """Ends the trial of the bundle whose name ends with these digits, if it runs."""
        if self._shadow is not None and self._shadow.bundle.name.endswith(digits):
            self._shadow.failure = reason

    def roll_back(self) -> None:
        """Goes back to the previous bundle; raises BundleError if there is none."""
        rollback_bundle(replace(self._target, use=self._installed.activate))
        name = self._models.bundle.name
        try:
            self._save({"bundle": name, "state": "rolled back", "reason": "by hand"})
        finally:  # also on a full disk: the next start uses the other bundle anyhow
            self._restart()

    def beside(self, read: Read, camera: str, formats: Callable[[], Formats]) -> Read:
        """Returns a function that reads plates, some of them with the bundle on trial as well."""

        def judge(read: PlateRead) -> list[float]:
            reading = single_reading(read, formats())
            listed = self._lists().match(reading.plate, camera=camera, at=datetime.now(UTC))
            return [formats().fits(reading.plate) or listed is not None, reading.confidence]

        def read_both(image: LazyImage, boxes: Sequence[Box]) -> list[PlateRead]:
            reads = read(image, boxes)
            if (shadow := self._shadow) is not None:
                for box, each in zip(boxes, reads, strict=True):
                    shadow.compare(image, box, each, judge)
            return reads

        return read_both

    def check(self) -> None:
        """Ends a trial in time. Call it periodically from one thread."""
        if (shadow := self._shadow) is None or (last := shadow.report())["state"] == "running":
            return
        self._shadow, kept = None, last["state"] == "kept"
        try:
            with self._installed.changing():  # also deletes a bundle that is not kept
                self._installed.activate(shadow.bundle if kept else self._installed.active)
                self._save(last)
        except BundleError as error:
            kept = self._installed.active == shadow.bundle  # it may fail after the switch
            state = "kept" if kept else "rolled back"
            self._last = last | {"state": state, "reason": str(error)}
        log.info("trial ends", **(self._last or {}))
        if kept:
            self._restart()

    def report(self) -> dict[str, Any] | None:
        """Returns the last trial; None before the first."""
        shadow, running = self._shadow, {"state": "running", "reason": ""}
        return shadow.report() | running if shadow else self._last

    def bundles(self) -> list[dict[str, Any]]:
        """Returns the previous bundle and the one in use; raises BundleError if one is damaged."""
        roles = {self._installed.previous: "previous", self._models.bundle: "in use"}
        specs = {folder: read_spec(folder) for folder in roles}
        return [
            {"name": folder.name, "role": roles[folder], "version": spec.version}
            | {key: spec.metrics.get(f"own_{key}") for key in ("plates", "before", "after")}
            for folder, spec in specs.items()
        ]
