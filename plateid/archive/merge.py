"""Joins the passes of all chunks of a timeline to those of one run: the rule in docs/archive.md."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from plateid.archive.chunk_reader import ChunkResult
from plateid.archive.plan import Chunk
from plateid.config.cameras import EventsConfig
from plateid.core.geometry import same_place
from plateid.core.ids import uuid7_of
from plateid.core.records import Box
from plateid.core.text import edit_distance
from plateid.pipeline.stationary import STATIONARY_S

READING = (
    *("plate", "plate_raw", "plate_display", "confidence", "char_confidences"),
    *("candidates", "reads", "agreeing_reads", "region", "crop", "labels"),
)
"""Fields that the reading with more reads gives."""


def merged(results: Iterable[tuple[Chunk, ChunkResult]]) -> Iterator[dict[str, Any]]:
    """Yields the passes of one timeline, in about the order of time."""
    kept: list[dict[str, Any]] = []
    overlays: list[Box] = []
    for chunk, result in results:
        earlier = len(kept)
        for each in _in_order(chunk, result):
            before = next((k for k in reversed(kept[:earlier]) if _continues(each, k)), None)
            if before is not None:  # rule 1
                _extend(before, each)
            elif each["first_s"] >= chunk.origin_s + chunk.start_s and not _is_clock(
                each, overlays
            ):
                kept.append(each)
        overlays += result.overlays
        over_s = chunk.origin_s + chunk.end_s - EventsConfig().parked_lost_s
        yield from (_finished(each) for each in kept if each["last_s"] < over_s)
        kept = [each for each in kept if each["last_s"] >= over_s]
    yield from map(_finished, kept)


def _in_order(chunk: Chunk, result: ChunkResult) -> Iterator[dict[str, Any]]:
    """Yields the passes of a chunk, in the time of the timeline."""
    for each in sorted(result.passes, key=lambda each: (each["first_s"], each["box"])):
        times = {name: each[name] + chunk.origin_s for name in ("first_s", "last_s")}
        yield each | times | {"camera": chunk.camera}


def _continues(each: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    gap_s = each["first_s"] - before["last_s"]
    edits = edit_distance(each["plate"], before["plate"])
    places = (before["path"][-1]["box"], each["path"][0]["box"]), (before["box"], each["box"])
    near = edits <= 1 and any(same_place(*pair) for pair in places)
    stays = before["is_open"] and gap_s <= EventsConfig().parked_lost_s
    return (near and gap_s <= 0) or (stays and (near or (not edits and gap_s > 0)))


def _is_clock(each: Mapping[str, Any], overlays: Iterable[Box]) -> bool:
    is_short = each["last_s"] - each["first_s"] < STATIONARY_S
    still = same_place(each["path"][0]["box"], each["path"][-1]["box"])
    return is_short and still and any(same_place(each["box"], clock) for clock in overlays)


def _extend(before: dict[str, Any], each: Mapping[str, Any]) -> None:
    """Adds what a later chunk saw of a pass."""
    if not before["is_open"] or each["last_s"] <= before["last_s"]:
        return
    later_s = each["first_s"] - before["first_s"]
    end_s = before["last_s"] - before["first_s"]
    points = [{**point, "t": round(point["t"] + later_s, 4)} for point in each["path"]]
    before["path"] = before["path"] + [point for point in points if point["t"] > end_s]
    before["last_s"] = each["last_s"]
    before["is_open"] = each["is_open"] or not each["moved"]  # it is still parked
    before["parked"] = before["parked"] or each["parked"]
    if each["reads"] > before["reads"]:
        before["corrected"] = before["plate"] != each["plate"]
        before.update({name: each[name] for name in READING})


def _finished(each: dict[str, Any]) -> dict[str, Any]:
    """Sets what follows from the begin and the end: dwell time, times, and the id."""
    dwell_s = each["last_s"] - each["first_s"]
    first = datetime.fromisoformat(each["first_seen"])
    identity = (each["fingerprint"], round(each["first_seen_s"], 3), each["plate"], each["box"])
    hashed = hashlib.sha256(repr(identity).encode()).digest()
    each["pass_id"] = str(uuid7_of(max(0, round(first.timestamp() * 1000)), hashed[:10]))
    each["last_seen_s"] = each["first_seen_s"] + dwell_s
    each["last_seen"] = first + timedelta(seconds=dwell_s)
    each["first_seen"] = first
    each["dwell_s"] = round(dwell_s, 4)
    return each
