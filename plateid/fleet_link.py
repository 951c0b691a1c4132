"""The link of a device to its hub: enrolment, and the desired state that it applies and reports.

The hub publishes a retained, signed message. It names a document, which the device fetches by
HTTPS with its token: its part of the master list, plates to delete, and a bundle to install. The
entries of the hub and of the device are both in force; each contradiction is reported.
"""

import base64
import functools
import hashlib
import json
import queue
import ssl
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.client import MQTTMessage
from pydantic import BaseModel, Field
from pydantic_core import from_json

from plateid.backoff import Backoff, Chore, Outage
from plateid.bundles.fleet_bundle import BundleState, FleetBundle
from plateid.bundles.install import MAX_BYTES as MAX_BUNDLE_BYTES
from plateid.bundles.trial import BundleTrial
from plateid.errors import ConfigError, PlateidError, StoreError, errors_as, os_errors_as, reason_of
from plateid.files import give_to_owner_of_folder, replace_text
from plateid.outputs.mqtt import MqttPublisher
from plateid.store.label_upload import send_labels
from plateid.store.list_csv import parse_entries
from plateid.store.list_file import ListFile
from plateid.store.purge import Purge

TIMEOUT_S = 10.0
"""Time-out of the hub's answer, seconds."""
MAX_BYTES = 64_000_000
"""Maximum size of a desired state, bytes: 100,000 entries with long notes."""
MAX_MESSAGES = 100
"""Maximum number of messages that wait to be verified."""
REPORTED, BUNDLE = "reported.json", "bundle.json"
"""Names of the files with the last report, and with the bundle that the hub wants."""
TICK_S, LABELS_S = 1.0, 3600.0
"""Longest wait for a message, and interval at which labels are sent, seconds."""


class HubError(PlateidError):
    """The hub or its message cannot be used."""


class Reported(BaseModel):
    """What a device reports: the version that it has applied, unless there is a `failure`."""

    version: int = Field(0, ge=0, lt=1 << 63)
    sha256: str = Field("", max_length=64)
    purged: list[int] = []
    conflicts: list[str] = []
    failure: str = ""
    bundle: BundleState = BundleState()


def link_folder(store: Path) -> Path:
    """Returns the folder of what the hub gave at enrolment, which is next to the store."""
    return store.with_name(f"{store.stem}-hub")


def hub_lists(store: Path) -> Path:
    """Returns the list file that the hub fills."""
    return link_folder(store) / "lists.csv"


class FleetLink:
    """Applies desired states; does nothing on a device that is not enrolled.

    `receive` may be called from any thread, `check` from the main thread, which owns `lists`.
    """

    def __init__(
        self, store: Path, lists: ListFile, mqtt: MqttPublisher, trial: BundleTrial
    ) -> None:
        """`mqtt`, not started yet, has messages and publishes reports; `trial` installs bundles."""
        self._store, self._lists, self._publish = store, lists, mqtt.set_reported
        self._folder = link_folder(store)
        self._messages: queue.Queue[bytes | None] = queue.Queue(MAX_MESSAGES)
        self._fetched: queue.SimpleQueue[tuple[dict[str, Any], dict[str, Any]]] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self._outage = Outage("hub", Backoff(first_s=0.5))
        labels = lambda: send_labels(store, lists.lists.entries, self._post)  # noqa: E731
        self._labels = Chore("labels for the hub", labels, interval_s=LABELS_S)
        self._url = ""  # of desired states
        self._reported = Reported()
        with suppress(OSError, ValueError):  # else the desired state is applied again
            self._reported = Reported.model_validate_json((self._folder / REPORTED).read_bytes())
        get = functools.partial(self._get, limit_bytes=MAX_BUNDLE_BYTES)
        self._bundle = FleetBundle(self._folder / BUNDLE, trial, get, self._reported.bundle)
        if self.is_enrolled:
            mqtt.handle("desired", self.receive)

    @property
    def is_enrolled(self) -> bool:
        """Whether the device belongs to a hub."""
        return (self._folder / "token").exists()

    def start(self) -> None:
        """Starts the thread that fetches."""
        if self.is_enrolled:
            self._publish(self._reported.model_dump_json())
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread after its present request."""
        self._messages.put(None)

    def receive(self, message: MQTTMessage) -> None:
        """Takes a message of the hub; without room, the next connection brings it again."""
        with suppress(queue.Full):
            self._messages.put_nowait(bytes(message.payload))

    def check(self) -> None:
        """Applies what was fetched, and reports it; an invalid list leaves the one before.

        Goes on with the bundle that the hub wants.
        """
        while not self._fetched.empty():
            wanted, document = self._fetched.get()
            report = Reported(version=wanted["version"], sha256=wanted["sha256"])
            report.purged = [each["id"] for each in document["purges"]]
            try:
                parse_entries(document["lists"], "list of the hub", ())
                replace_text(hub_lists(self._store), document["lists"])
                self._lists.reload()
            except (OSError, ConfigError) as error:
                report.failure = reason_of(error)
            report.conflicts = list(self._lists.conflicts)
            with suppress(OSError):  # then the bundle is fetched again after a restart
                self._bundle.want(document.get("bundle"))
            report.bundle = self._bundle.last
            self._report(report)
            log.info("desired state applied", version=report.version, failure=report.failure)
        self._bundle.check()
        if (bundle := self._bundle.last) != self._reported.bundle:
            self._report(self._reported.model_copy(update={"bundle": bundle}))
            log.info("bundle of the hub", **bundle.model_dump())

    def _report(self, report: Reported) -> None:
        self._reported, text = report, report.model_dump_json()
        with suppress(OSError):  # then it is fetched again after a restart
            replace_text(self._folder / REPORTED, text)
        self._publish(text)

    def _run(self) -> None:
        """Fetches the newest document, at any number of attempts; sends labels."""
        wanted: dict[str, Any] = {}
        while True:
            try:
                message = self._messages.get(timeout=self._outage.wait_s if wanted else TICK_S)
            except queue.Empty:
                message = b""
            if message is None:
                return
            with self._outage.noted(HubError):
                if message:
                    wanted = self._newest(message)
                if wanted:
                    self._fetch(wanted)
                wanted = {}
            if self._url and not wanted:
                self._labels.check()

    def _newest(self, message: bytes) -> dict[str, Any]:
        """Returns the values of a message, none if they are applied; raises HubError."""
        wanted, known = verified(message, self._folder / "mqtt-ca.pem"), self._reported
        self._url = wanted["url"]
        if wanted["version"] < known.version:
            raise HubError("desired state", f"version {wanted['version']} is an old one")
        applied = known.version, known.sha256, known.failure
        return {} if applied == (wanted["version"], wanted["sha256"], "") else wanted

    def _fetch(self, wanted: dict[str, Any]) -> None:
        """Raises HubError."""
        data = self._get(wanted["url"], MAX_BYTES)
        if hashlib.sha256(data).hexdigest() != wanted["sha256"]:
            raise HubError(wanted["url"], "is another document than the signed one")
        document = json.loads(data)
        if bundle := document.get("bundle"):
            bundle["url"] = urljoin(wanted["url"], f"bundles/{bundle['sha256']}")
        with errors_as(HubError, "purge", StoreError):
            for each in document["purges"]:
                if each["id"] not in self._reported.purged:
                    Purge(self._store).plate(each["plate"])
        self._fetched.put((wanted, document))

    def _get(self, url: str, limit_bytes: int, body: bytes | None = None) -> bytes:
        token = (self._folder / "token").read_text()
        return fetch(url, self._folder, token=token, body=body, limit_bytes=limit_bytes)

    def _post(self, values: dict[str, Any]) -> list[str]:
        """Returns the ids of events whose image the hub wants; raises StoreError."""
        url = urljoin(self._url, "labels")
        with errors_as(StoreError, url, HubError, OSError, ValueError):
            wanted: list[str] = json.loads(self._get(url, MAX_BYTES, json.dumps(values).encode()))
        return wanted


def verified(message: bytes, authority: Path) -> dict[str, Any]:
    """Returns the values of a message that the hub signed; raises HubError."""
    causes = ValueError, LookupError, TypeError, AttributeError, InvalidSignature, OSError
    with errors_as(HubError, "desired state", *causes):
        outer = from_json(message)
        signature = base64.b64decode(outer["signature"])
        key = x509.load_pem_x509_certificate(authority.read_bytes()).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(signature, outer["desired"].encode(), ec.ECDSA(hashes.SHA256()))
        values: dict[str, Any] = json.loads(outer["desired"])
    return values


def fetch(
    url: str,
    folder: Path,
    *,
    token: str = "",
    body: bytes | None = None,
    limit_bytes: int = MAX_BYTES,
) -> bytes:
    """Returns the answer to a request; raises HubError. Only this device is reached by HTTP."""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise HubError(url, "must be https://")
    headers = {"Content-Type": "application/json"} if body else {}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    authority = folder / "hub-ca.pem"
    context = ssl.create_default_context(cafile=authority if authority.exists() else None)
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - checked above
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            data: bytes = answer.read(limit_bytes)
            return data
    except urllib.error.HTTPError as error:
        with error:
            raise HubError(url, error.read(500).decode(errors="replace")) from error
    except (OSError, ValueError, HTTPException) as error:
        raise HubError(url, reason_of(error)) from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: they would take the token elsewhere."""

    def redirect_request(self, *_: object) -> None:
        return None


def enrol(url: str, code: str, store: Path, authority: Path | None) -> dict[str, Any]:
    """Enrols this device with a one-time code; returns the hub's answer. Raises PlateidError."""
    folder = link_folder(store)
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    with os_errors_as(StoreError, folder):
        folder.mkdir(parents=True, exist_ok=True)
        give_to_owner_of_folder(folder)
        for name in ("hub-ca.pem", REPORTED, BUNDLE):  # of another hub
            (folder / name).unlink(missing_ok=True)
        if authority is not None:
            _write(folder, "hub-ca.pem", authority.read_text())
        body = json.dumps({"code": code, "csr": request.public_bytes(pem).decode()}).encode()
        data = fetch(f"{url.rstrip('/')}/api/v1/enrol", folder, body=body)
        with errors_as(HubError, url, ValueError, reason="is no hub"):
            answer: dict[str, Any] = json.loads(data)
        private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        _write(folder, "mqtt.key", key.private_bytes(pem, *private).decode())
        for name, value in (
            ("mqtt.pem", answer["certificate"]),
            ("mqtt-ca.pem", answer["ca"]),
            ("token", answer["token"]),
        ):
            _write(folder, name, value)
    return answer


def _write(folder: Path, name: str, text: str) -> None:
    replace_text(folder / name, text, mode=0o600, first=give_to_owner_of_folder)


log = structlog.get_logger()
