"""The bundle that the hub wants on this device: fetched, tried on live traffic, and rolled back."""

import hashlib
import json
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from plateid.backoff import Backoff, Outage
from plateid.bundles.install import HASH_DIGITS
from plateid.bundles.signature import SUFFIX
from plateid.bundles.trial import BundleTrial
from plateid.errors import BundleError, PlateidError, os_errors_as
from plateid.files import replace_text

State = Literal["", "downloading", "trial", "installed", "rolled back", "failed"]


class BundleState(BaseModel):
    """What a device reports of the bundle of a rollout, which has a number."""

    rollout: int = Field(0, ge=0, lt=1 << 49)
    state: State = ""
    reason: str = Field("", max_length=1000)


class FleetBundle:
    """Installs bundles of the hub; all calls come from the main thread. `last` is to be reported.

    Download and test run in a thread. What a signature, a version, a golden image or the trial
    refuses is not tried again; a download is.
    """

    def __init__(
        self, file: Path, trial: BundleTrial, fetch: Callable[[str], bytes], last: BundleState
    ) -> None:
        """`file` keeps what is wanted; `fetch` returns the content of a URL, or PlateidError."""
        self.last = last
        self._file, self._trial, self._fetch = file, trial, fetch
        self._wanted: dict[str, Any] | None = None
        with suppress(OSError, ValueError):  # nothing is wanted yet
            self._wanted = json.loads(file.read_bytes())
        self._thread = threading.Thread()
        self._outage = Outage("bundle of the hub", Backoff())

    def want(self, wanted: dict[str, Any] | None) -> None:
        """Takes what the hub wants, None: nothing. OSError: it is forgotten at a restart.

        That is `rollout`, `url`, `sha256` and `signature` (hexadecimal) of the archive, `minutes`
        of the trial, and whether to `roll_back`.
        """
        self._wanted = wanted
        replace_text(self._file, json.dumps(wanted))

    def check(self) -> None:
        """Does the next step, if one is due."""
        if (wanted := self._wanted) is None or self._thread.is_alive():
            return
        if self.last.rollout != wanted["rollout"]:
            self.last = BundleState(rollout=wanted["rollout"], state="downloading")
        digits, trial = wanted["sha256"][:HASH_DIGITS], self._trial.report() or {}
        match self.last.state:
            case "rolled back" | "failed":
                pass
            case _ if wanted["roll_back"]:
                self._go_back(digits)
            case _ if self._trial.active.endswith(digits):
                self._note("installed")
            case "downloading" if not self._outage.wait_s:
                self._thread = threading.Thread(target=self._install, args=(wanted,), daemon=True)
                self._thread.start()
            case "installed":
                self._note("rolled back", trial.get("reason") or "another bundle is in use")
            case "trial" if trial.get("state") == "rolled back":
                self._note("rolled back", trial["reason"])

    def _note(self, state: State, reason: str = "") -> None:
        self.last = BundleState(rollout=self.last.rollout, state=state, reason=reason[:1000])

    def _go_back(self, digits: str) -> None:
        """Ends a trial, or goes back to the bundle before, unless another one is in use."""
        try:
            self._trial.stop(digits, "by the hub")
            if self._trial.active.endswith(digits):
                self._trial.roll_back()
            self._note("rolled back", "by the hub")
        except BundleError as error:
            self._note("failed", str(error))

    def _install(self, wanted: dict[str, Any]) -> None:
        with (
            self._outage.noted(PlateidError),
            os_errors_as(BundleError, "bundle of the hub"),
            tempfile.TemporaryDirectory() as folder,
        ):
            data, archive = self._fetch(wanted["url"]), Path(folder) / "bundle.tar"
            if hashlib.sha256(data).hexdigest() != wanted["sha256"]:
                raise BundleError(wanted["url"], "is another archive than that of the rollout")
            archive.write_bytes(data)
            archive.with_suffix(f".tar{SUFFIX}").write_bytes(bytes.fromhex(wanted["signature"]))
            if self._wanted != wanted:  # the hub has changed its mind meanwhile
                return
            try:
                self._trial.install(archive, wanted["minutes"])
                self._note("trial")
            except PlateidError as error:
                self._note("failed", str(error))
