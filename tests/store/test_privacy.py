"""What is kept of a plate, and the key of its hashes."""

import json
import stat
import subprocess
import time
from dataclasses import replace

import jsonschema
import pytest

from plateid.config.storage import PrivacyConfig
from plateid.errors import StoreError
from plateid.store.privacy import HashKey, Privacy, key_file, read_key
from tests.core.test_schema import SCHEMA
from tests.support.broken_disk import full_disk
from tests.support.histories import ANA, DAY_S, files_with, retention
from tests.support.samples import SEEN, said


def privacy(folder, **settings):
    return Privacy(PrivacyConfig(**settings), folder / "events.sqlite3")


def test_default_keeps_everything_and_makes_no_key(tmp_path):
    rules = privacy(tmp_path)
    assert rules.redacted(SEEN) is SEEN
    assert rules.plate("B68SPK", listed=False) == "B68SPK"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("rule", "form"), [("hash", "hashed"), ("drop", "dropped")])
@pytest.mark.parametrize("match", [None, ANA])
def test_redacted_event_is_valid_and_holds_no_plate(tmp_path, rule, form, match):
    rules = privacy(tmp_path, unlisted=rule, listed=rule)
    seen = replace(SEEN, list=match)
    event, event_form = rules.applied(seen, "plain")
    payload = event.to_json()
    left, before = json.loads(payload), json.loads(seen.to_json())
    jsonschema.validate(left | {"sent_at": left["last_seen"]}, SCHEMA)
    assert not [text for text in ("68SPK", "68 SPK", "Ana") if text in payload]
    assert (left["plate"], event_form) == (rules.plate("B68SPK", listed=False), form)
    assert len(left["plate"]) == {"hash": 32, "drop": 0}[rule]
    changed = {"plate", "plate_raw", "plate_display", "char_confidences", "candidates", "list"}
    assert {key for key in left if left[key] != before[key]} <= changed
    assert (left["list"] or {}).get("kind") == (match and "allow")
    assert rules.applied(event, event_form) == (event, event_form)


def test_listed_and_unlisted_plates_have_their_own_rules(tmp_path):
    rules = privacy(tmp_path, unlisted="drop", listed="keep")
    assert rules.redacted(replace(SEEN, list=ANA)).plate == SEEN.plate
    assert rules.redacted(SEEN).plate == ""
    assert (rules.plate("AB12", listed=True), rules.plate("AB12", listed=False)) == ("AB12", "")


def test_hash_is_hmac_sha256_and_differs_between_devices(tmp_path):
    rules = privacy(tmp_path, unlisted="hash")
    key = read_key(key_file(tmp_path / "events.sqlite3"))
    assert key.made_at == pytest.approx(time.time(), abs=2)
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.key.hex()}"]
    done = subprocess.run(command, input=b"B68SPK", capture_output=True, check=True)
    expected = done.stdout.decode().split()[-1]
    assert rules.plate("B68SPK", listed=False) == expected[:32].upper()
    (tmp_path / "other").mkdir()
    other = privacy(tmp_path / "other", unlisted="hash")
    assert other.plate("B68SPK", listed=False) != rules.plate("B68SPK", listed=False)


def test_key_is_readable_by_its_owner_only_and_outlives_the_process(tmp_path):
    first = privacy(tmp_path, unlisted="hash")
    assert stat.S_IMODE((tmp_path / "events.sqlite3.key").stat().st_mode) == 0o600
    again = privacy(tmp_path, listed="hash")
    assert again.plate("B68SPK", listed=True) == first.plate("B68SPK", listed=False)


@pytest.mark.parametrize(("days", "renewed"), [(6.9, False), (7.1, True), (-7.1, True)])
def test_key_is_renewed_after_its_time_and_the_old_one_is_gone(tmp_path, days, renewed):
    file = tmp_path / "events.sqlite3.key"
    file.write_text(f"{time.time() - days * DAY_S:.0f} {'ab' * 32}\n")
    rules = privacy(tmp_path, unlisted="hash", key_days=7)
    before = rules.plate("B68SPK", listed=False)
    assert before == HashKey(0, b"\xab" * 32).digest("B68SPK")
    rules.renew_key()
    assert (rules.plate("B68SPK", listed=False) != before) is renewed
    assert files_with(tmp_path, "ab" * 32) == ([] if renewed else [file.name])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 or not renewed


@pytest.mark.parametrize("content", ["", "1700000000", "x y", "1 zz", "\xff\xfe", "1 ab cd"])
def test_file_without_a_key_is_replaced_and_logged(tmp_path, content, logs):
    (tmp_path / "events.sqlite3.key").write_text(content, encoding="latin-1")
    assert privacy(tmp_path, unlisted="hash").plate("B68SPK", listed=False)
    assert len(said(logs, "no key in key file, a new key is made")) == 1


def test_key_that_cannot_be_read_or_made_is_an_error(tmp_path):
    (tmp_path / "events.sqlite3.key").mkdir()
    with pytest.raises(StoreError, match=r"events\.sqlite3\.key: Is a directory"):
        privacy(tmp_path, unlisted="hash")
    with pytest.raises(StoreError, match=r"nowhere.*\.key: No such file"):
        privacy(tmp_path / "nowhere", unlisted="hash")


def test_key_is_read_once_the_disk_works(own_folder):
    expected = privacy(own_folder, unlisted="hash").plate("B68SPK", listed=False)
    file = own_folder / "events.sqlite3.key"
    file.chmod(0)
    rules = privacy(own_folder, unlisted="hash")
    assert rules.plate("B68SPK", listed=False) not in (expected, "B68SPK", "")
    file.chmod(0o600)
    rules.renew_key()
    assert rules.plate("B68SPK", listed=False) == expected


def test_old_key_stays_until_a_full_disk_has_room(store, logs):
    file = key_file(store.path)
    file.write_text(f"0 {'ab' * 32}\n")
    keeper = retention(store, unlisted="hash")
    with full_disk():
        keeper.check()
    assert "ab" in file.read_text()
    (reason,) = said(logs, "outage starts")
    assert reason.startswith(str(file))
    keeper._redact._outage._next_try = 0.0
    keeper.check()
    assert "ab" * 32 not in file.read_text()
