"""Rollouts: a signed bundle goes to many devices in waves. 003.sql has the rules between them."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import psycopg
from pydantic import Field

from plateid.bundles.archive import read_archive
from plateid.bundles.signature import check_signature
from plateid.config.section import Section
from plateid.errors import BundleError

CANARY, SECOND = 0.02, 0.1
"""Shares of the devices (0-1) in the first wave, rounded down, and in the first two, rounded up."""
MEMBERS = """
    SELECT name FROM device WHERE token_sha256 IS NOT NULL
        AND (%(target)s = '' OR %(target)s IN (name, site) OR %(target)s = ANY(groups))
    ORDER BY coalesce(online, FALSE) DESC, md5(name || %(sha256)s)"""
BUSY = """
    SELECT id FROM rollout JOIN rollout_device ON rollout = id
    WHERE rollout.state = 'running' AND device = ANY(%s) LIMIT 1"""
NEWEST = """
    SELECT coalesce(max(version), 0) FROM rollout JOIN rollout_device AS each ON rollout = id
    WHERE each.state = 'installed' AND device = ANY(%s)"""
ADD = """
    INSERT INTO rollout (target, bundle, version, sha256, signature, archive, trial_minutes, hold,
        max_errors)
    VALUES (%(target)s, %(bundle)s, %(version)s, %(sha256)s, %(signature)s, %(archive)s,
        %(trial_minutes)s, %(hold_h)s * interval '1 hour', %(max_errors)s) RETURNING id"""
ADD_DEVICE = "INSERT INTO rollout_device (rollout, device, wave) VALUES (%s, %s, %s)"


class Plan(Section):
    """How to roll out: to a site, group or device (empty: all), and when to go on or to stop."""

    target: str = Field("", max_length=64)
    trial_minutes: float = Field(60.0, gt=0, le=7 * 24 * 60)
    hold_h: float = Field(24.0, ge=0, le=30 * 24)  # how long a wave must be healthy, hours
    max_errors: int = Field(10, ge=0, le=100)  # percentage of a wave's devices


def wave_of(index: int, devices: int) -> int:
    """Returns the wave (1 to 3) of a device by its index: 2 %, at least one; 10 %; all."""
    canaries = max(1, int(CANARY * devices))
    return 1 if index < canaries else 2 if index < max(canaries + 1, ceil(SECOND * devices)) else 3


def start(
    db: psycopg.Connection, archive: tuple[bytes, bytes], keys: Path, plan: Plan
) -> dict[str, Any]:
    """Starts the rollout of an archive and its signature; returns its row, with its devices.

    Raises BundleError if it is not signed by a key of `keys`, damaged, or older than the bundle of
    a device, and if there is no device, or one of another rollout.
    """
    data, signature = archive
    check_signature("bundle", data, signature, keys)
    spec, sha256 = read_archive("bundle", data)
    with db.transaction():
        db.execute("LOCK rollout IN EXCLUSIVE MODE")
        values = plan.model_dump() | {"archive": data, "signature": signature.hex()}
        values |= {"bundle": spec.name, "version": spec.version, "sha256": sha256}
        devices = [name for (name,) in db.execute(MEMBERS, values)]
        if problem := _problem(db, devices, spec.version):
            raise BundleError(f"rollout to {plan.target or 'all devices'}", problem)
        (id_,) = db.execute(ADD, values).fetchone() or (0,)
        rows = [(id_, name, wave_of(n, len(devices))) for n, name in enumerate(devices)]
        db.cursor().executemany(ADD_DEVICE, rows)
        db.execute("SELECT start_wave(%s)", (id_,))
    return values | {"id": id_, "devices": devices}


def _problem(db: psycopg.Connection, devices: Sequence[str], version: int) -> str:
    """Returns why a bundle is not rolled out to some devices; empty: it is."""
    if not devices:
        return "there is no enrolled device"
    if busy := db.execute(BUSY, (devices,)).fetchone():
        return f"rollout {busy[0]} of some of these devices is still running"
    (newest,) = db.execute(NEWEST, (devices,)).fetchone() or (0,)
    is_older = version < newest
    return f"version {version} is older than {newest}, which a device has" if is_older else ""
