"""What is kept of a plate: the plate, a keyed hash of it, or nothing."""

import hashlib
import hmac
import json
import secrets
import time
from dataclasses import replace
from pathlib import Path

import structlog

from plateid.config.storage import PlatePolicy, PrivacyConfig
from plateid.core.records import json_line
from plateid.errors import StoreError
from plateid.files import replace_text
from plateid.outputs.output_thread import Target
from plateid.store.overflow import DAY_S
from plateid.store.queues import Queued

KEY_BYTES = 32
DIGITS = 32
"""Of a hash, hexadecimal: 128 of the 256 bits, which no plate is long enough to be taken for."""
log = structlog.get_logger()


def key_file(store: Path) -> Path:
    """Where the key of a store's hashes is."""
    return store.with_name(f"{store.name}.key")


def digest(key: bytes, plate: str) -> str:
    """HMAC-SHA256 of a plate, shortened as RFC 2104 (section 5) allows, in upper case."""
    return hmac.new(key, plate.encode(), hashlib.sha256).hexdigest()[:DIGITS].upper()


def read_key(file: Path) -> tuple[float, bytes] | None:
    """When a key was made, as `time.time()`, and the key; None where the file holds none.

    Raises:
        StoreError: The file is there and cannot be read.
    """
    try:
        made_at, key = file.read_text(encoding="ascii", errors="replace").split()
        return float(made_at), bytes.fromhex(key)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(file, error.strerror) from error
    except ValueError:
        log.warning("no key in key file, another one is made", file=str(file))
        return None


def write_key(file: Path) -> tuple[float, bytes]:
    """Makes a key, in place of the old one; the file is readable for its owner only.

    Raises:
        StoreError: The file cannot be written; the old one stays.
    """
    made_at, key = time.time(), secrets.token_bytes(KEY_BYTES)
    try:
        replace_text(file, f"{made_at:.0f} {key.hex()}\n", mode=0o600)
    except OSError as error:
        raise StoreError(file, error.strerror) from error
    return made_at, key


class Privacy:
    """What `[privacy]` says of plates. May be used from any thread, but for `renew_key`.

    Attributes:
        policy: What is kept, as the store remembers it.
        hides: Whether anything is not kept.
    """

    def __init__(self, config: PrivacyConfig, store: Path) -> None:
        """Makes a key beside the store where hashes need one and there is none.

        Raises:
            StoreError: The key cannot be read or written.
        """
        kept = (config.unknown, config.listed)
        self.policy = " ".join(kept)
        self.hides = kept != ("keep", "keep")
        self._config = config
        self._file = key_file(store)
        self._hashes = "hash" in kept
        self._made_at, self._key = 0.0, b""
        if self._hashes:
            self._made_at, self._key = read_key(self._file) or write_key(self._file)

    def renew_key(self) -> None:
        """Makes another key when it is time; a clock that jumps makes it time.

        Raises:
            StoreError: It cannot be written; the old one stays.
        """
        if self._hashes and abs(time.time() - self._made_at) >= self._config.key_days * DAY_S:
            self._made_at, self._key = write_key(self._file)
            log.info("key of hashes renewed")

    def plate(self, plate: str, *, listed: bool) -> str:
        """What may be kept of a plate: itself, its hash, or an empty text."""
        return self._kept(plate, self._rule(listed=listed))

    def payload(self, payload: str) -> str:
        """What may be kept of an event's JSON; a hash that it holds stays, or goes.

        Of an event whose plate is not kept, all that tells it goes too: what else it may say, how
        sure each character is, and the name of the entry that it fits.
        """
        event = json.loads(payload)
        rule = self._rule(listed=event["list"] is not None)
        if rule == "keep":
            return payload
        hashed = len(event["plate"]) != len(event["char_confidences"])
        kept = event["plate"] if hashed and rule == "hash" else self._kept(event["plate"], rule)
        event |= dict.fromkeys(("plate", "plate_raw", "plate_display"), kept)
        event |= {"char_confidences": [], "candidates": []}
        if event["list"] is not None:
            event["list"]["name"] = ""
        return json_line(event)

    def _rule(self, *, listed: bool) -> PlatePolicy:
        return self._config.listed if listed else self._config.unknown

    def _kept(self, plate: str, rule: PlatePolicy) -> str:
        if rule == "keep" or not plate:
            return plate
        return digest(self._key, plate) if rule == "hash" else ""


class Private:
    """A sink that keeps events, such as a file: it gets what may be kept."""

    def __init__(self, target: Target, privacy: Privacy) -> None:
        """Stands before `target`."""
        self._target = target
        self._privacy = privacy

    def deliver(self, queued: Queued) -> bool:
        """As the sink itself does."""
        return self._target.deliver(replace(queued, payload=self._privacy.payload(queued.payload)))
