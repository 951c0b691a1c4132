"""Hostile inputs: mutated files, messages and tables, and what may happen with them."""

import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from plateid.errors import PlateidError

EXAMPLES = int(os.environ.get("HOSTILE", "200"))
"""Number of inputs for each test."""
hostile = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
time_limit = pytest.mark.timeout(120 if EXAMPLES <= 200 else 0)
TOKENS = (
    *(
        b"\x00",
        b"\xff",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"\n",
        b"\r",
        b'"',
        b"'''",
        b"[[",
    ),
    *(b"{", b"}", b"=", b",", b";", b"|", b"#", b"1e999", b"nan", b"inf", b"-1", b"9" * 30),
    *(b"\xef\xbb\xbf", b"\xc3\xa4", b"\xf0\x9f\x9a\x97", b"\xd8\x00", b"\\u0000", b"9999-12-31"),
)


@st.composite
def mutated(draw: st.DrawFn, good: bytes, *, head: int = 2000) -> bytes:
    """Bytes with one to six faults, half of them within the first `head` bytes."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 6))):
        size = len(data)
        at = draw(st.integers(0, min(size, head) if draw(st.booleans()) else size))
        length = draw(st.integers(1, 64))
        match draw(st.sampled_from(["bit", "bytes", "token", "remove", "repeat", "cut"])):
            case "bit" if at < size:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "bytes":
                data[at : at + length] = draw(st.binary(max_size=8))
            case "token":
                data[at:at] = draw(st.sampled_from(TOKENS))
            case "remove":
                del data[at : at + length]
            case "repeat":
                data[at:at] = data[at : at + length] * draw(st.integers(1, 20))
            case "cut":
                del data[at:]
    return bytes(data)


VALUES = st.recursive(
    st.one_of(
        st.integers(),
        st.sampled_from([0, -1, 2**31, 2**63, 10**400]),
        st.floats(),
        st.booleans(),
        st.text(max_size=20),
        st.sampled_from(["", ".", "/", "a" * 5000, "rtsp://", "http://[", "\x00", "a\nb", "../.."]),
        st.dates(),
        st.times(),
        st.datetimes(timezones=st.sampled_from([None, UTC])),
    ),
    lambda values: (
        st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=8), values, max_size=3)
    ),
    max_leaves=6,
)


def toml(value: Any) -> str:
    """Returns a value in TOML syntax."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value)
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return f"{{{', '.join(f'{toml(key)} = {toml(item)}' for key, item in value.items())}}}"
        case date() | time() | datetime():
            return value.isoformat()
    return str(value)


@st.composite
def mutated_table(draw: st.DrawFn, good: dict[str, Any]) -> bytes:
    """A TOML table with one to three changed values or keys at any depth."""
    table = json.loads(json.dumps(good))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = table
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys)) if keys else "x"
            inner = place[key] if keys else None
            if not (isinstance(inner, dict | list) and inner) or draw(st.integers(0, 3)) == 0:
                break
            place = inner
        if isinstance(place, dict) and draw(st.integers(0, 4)) == 0:
            key = draw(st.text(max_size=10))
        if isinstance(place, dict) or keys:
            place[key] = draw(VALUES)
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in table.items()).encode()


def accepts(subject: object, action: Callable[[], object], *expected: type[PlateidError]) -> bool:
    """Returns whether the action succeeds; an error must be one line that names the subject."""
    try:
        action()
    except expected as error:
        failure: PlateidError = error
    else:
        return True
    assert str(subject) in str(failure)
    assert failure.reason
    assert str(failure).isprintable(), str(failure)
    return False
