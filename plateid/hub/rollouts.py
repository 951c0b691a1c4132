"""Starts rollouts: a signed bundle goes to many devices in waves; the rules are in 003.sql."""

from pathlib import Path

import psycopg
from pydantic import Field

from plateid.bundles.archive import read_archive
from plateid.bundles.signature import check_signature
from plateid.config.section import Section
from plateid.errors import BundleError

START = """
    SELECT start_rollout(ROW(NULL, %(target)s, %(bundle)s, %(version)s, %(sha256)s, %(signature)s,
        %(archive)s, %(trial_minutes)s, %(hold_h)s * interval '1 hour', %(max_errors)s, now(), 1,
        'running', '')::rollout)"""


class Plan(Section):
    """How to roll out: to a site, group or device (empty: all), and when to go on or to stop."""

    target: str = Field("", max_length=64)
    trial_minutes: float = Field(60.0, gt=0, le=7 * 24 * 60)
    hold_h: float = Field(24.0, ge=0, le=30 * 24)  # how long a wave must be healthy, hours
    max_errors: int = Field(10, ge=0, le=100)  # percentage of a wave's devices


def start(db: psycopg.Connection, archive: tuple[bytes, bytes], *, keys: Path, plan: Plan) -> str:
    """Starts the rollout of an archive with its signature; returns what was started, as a text.

    Raises BundleError if it is not signed by a key of `keys`, damaged, or older than the bundle of
    a device, and if there is no device, or one of another rollout.
    """
    data, signature = archive
    check_signature("bundle", data, signature, keys)
    spec, sha256 = read_archive("bundle", data)
    values = plan.model_dump() | {"archive": data, "signature": signature.hex()}
    values |= {"bundle": spec.name, "version": spec.version, "sha256": sha256}
    try:
        (started,) = db.execute(START, values).fetchone() or ("",)
    except psycopg.errors.RaiseException as error:
        raise BundleError("rollout", error.diag.message_primary) from error
    return str(started)
