"""What the store keeps of a plate: the plate, a keyed hash of it, or nothing."""

import hashlib
import hmac
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import structlog

from plateid.config.storage import DAY_S, PlatePolicy, PrivacyConfig
from plateid.core.clock import CLOCK
from plateid.core.records import PlateEvent
from plateid.files import replace_text
from plateid.store.database import DiskError, disk_errors

PlateForm = Literal["plain", "hashed", "dropped"]
KEY_BYTES = 32
"""Length of the key of a hash (HMAC-SHA-256), bytes."""
HASH_DIGITS = 32
"""Length of a hash in hexadecimal digits: 128 of the 256 bits."""
log = structlog.get_logger()


@dataclass(frozen=True)
class HashKey:
    """The secret key of the plate hashes; it was made at the `time.time()` of `made_at`."""

    made_at: float
    key: bytes

    def digest(self, plate: str) -> str:
        """Returns the HMAC-SHA256 of a plate, truncated (RFC 2104, section 5), in upper case."""
        return hmac.new(self.key, plate.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS].upper()


def key_file(store: Path) -> Path:
    """Returns the path of a store's hash key."""
    return store.with_name(f"{store.name}.key")


def read_key(file: Path) -> HashKey | None:
    """Returns the key of a file, None if it has none; raises StoreError if it cannot be read."""
    try:
        with disk_errors(file), suppress(FileNotFoundError):
            made_at, key = file.read_text(encoding="ascii", errors="replace").split()
            return HashKey(float(made_at), bytes.fromhex(key))
    except ValueError:
        log.warning("no key in key file, a new key is made", file=str(file))
    return None


def write_key(file: Path) -> HashKey:
    """Replaces the key by a new one that only the owner can read; raises StoreError."""
    made = HashKey(time.time(), secrets.token_bytes(KEY_BYTES))
    with disk_errors(file):
        replace_text(file, f"{made.made_at:.0f} {made.key.hex()}\n", mode=0o600)
    return made


class Privacy:
    """The rules of `[privacy]`. All methods but `renew_key` may be called from any thread.

    `policy` is the two rules as one text, which the store remembers. `hides` says whether any plate
    is hashed or dropped.
    """

    def __init__(self, config: PrivacyConfig, store: Path) -> None:
        """Reads the key beside the store, or makes one, if a rule is `hash`.

        If the disk fails, another key is used until `renew_key` can read or write the file. Raises
        StoreError if the key cannot be read or written for another reason.
        """
        rules = (config.unlisted, config.listed)
        self.policy = " ".join(rules)
        self.hides = rules != ("keep", "keep")
        self._config = config
        self._file = key_file(store)
        self._key: HashKey | None = None
        if "hash" in rules:
            try:
                self._key = read_key(self._file) or write_key(self._file)
            except DiskError:
                self._key = HashKey(0.0, secrets.token_bytes(KEY_BYTES))

    def renew_key(self) -> None:
        """Makes a new key once the old one is `key_days` old; raises StoreError."""
        if self._key is not None and not self._key.made_at:  # the disk failed at the start
            self._key = read_key(self._file) or write_key(self._file)
        key_s = self._config.key_days * DAY_S
        is_due = self._key is not None and abs(time.time() - self._key.made_at) >= key_s
        if is_due and CLOCK.is_trusted():
            self._key = write_key(self._file)
            log.info("key of hashes renewed")

    def plate(self, plate: str, *, listed: bool) -> str:
        """Returns what may be kept of a plate: the plate, its hash, or an empty text."""
        return self._kept(plate, self._rule(listed=listed))

    def redacted(self, event: PlateEvent) -> PlateEvent:
        """Returns what may be kept of an event with a plain plate."""
        return self.applied(event, "plain")[0]

    def applied(self, event: PlateEvent, form: PlateForm) -> tuple[PlateEvent, PlateForm]:
        """Returns what may be kept of an event, and the new form of its plate.

        A plate that is not kept takes along its candidates, the confidence of its characters and
        the name of its list entry. A hash stays a hash or is dropped.
        """
        rule = self._rule(listed=event.list is not None)
        if rule == "keep":
            return event, form
        hashed = form != "plain" and rule == "hash"
        plate = event.plate if hashed else self._kept(event.plate, rule)
        redacted = replace(
            event,
            plate=plate,
            plate_raw=plate,
            plate_display=plate,
            char_confidences=(),
            candidates=(),
            list=event.list and replace(event.list, name=""),
        )
        return redacted, "hashed" if plate else "dropped"

    def _rule(self, *, listed: bool) -> PlatePolicy:
        return self._config.listed if listed else self._config.unlisted

    def _kept(self, plate: str, rule: PlatePolicy) -> str:
        if rule == "keep" or not plate:
            return plate
        return self._key.digest(plate) if rule == "hash" and self._key else ""
