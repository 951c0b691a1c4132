"""The JSON API, as its OpenAPI document describes it."""

import json
import subprocess
import sys
from urllib.parse import quote

from jsonschema import Draft202012Validator

from plateid.web.credentials import Credentials, credentials_file, hash_token, write_credentials


def test_every_answer_is_as_the_document_says_whatever_is_asked(box):
    write_credentials(
        credentials_file(box.config.store.path), Credentials("set", token=hash_token("token"))
    )
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{box.address}/api/v1/openapi.json"),
        *("-H", "Authorization: Bearer token", "--checks", "all", "--max-examples", "25"),
        # a search may be refused for what two of its fields say together
        *("--exclude-checks", "positive_data_acceptance"),
        *("--phases", "examples,coverage,fuzzing", "--seed", "1", "--suppress-health-check", "all"),
    ]
    done = subprocess.run(command, cwd=box.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_pages_follow_each_other_and_events_are_as_they_were_published(box):
    document = json.loads(box.ask("/api/v1/openapi.json")[1])
    schema = Draft202012Validator(document | {"$ref": "#/components/schemas/Event"})
    found, after = [], ""
    while after is not None:
        answer = json.loads(box.ask(f"/api/v1/events?limit=30&after={quote(after)}")[1])
        found += answer["events"]
        after = answer["after"]
    for event in found:
        schema.validate(event)
    assert len(found) == len({event["id"] for event in found}) == 70
    status, text, _ = box.ask(f"/api/v1/events/{found[0]['id']}")
    assert status == 200
    assert json.loads(text)["events"] == found[:1]
    entries = json.loads(box.ask("/api/v1/lists")[1])["entries"]
    assert [entry["plate"] for entry in entries] == ["KX73LPH", "B68SPK"]


def test_an_entry_that_is_for_ever_is_told(box):
    rows = "plate,list,valid_from,valid_to\nB68SPK,allow,0001-01-01,9999-12-31\n"
    box.config.lists.file.write_text(rows)
    (entry,) = json.loads(box.ask("/api/v1/lists")[1])["entries"]
    assert entry["valid_from"][:4] == "0001" and entry["valid_to"][:4] == "9999"


def test_an_event_that_a_fault_spoiled_hides_no_other(box):
    with box.store.transaction() as db:
        db.execute("UPDATE event SET payload = replace(payload, '{', '(') WHERE position = 3")
    assert len(json.loads(box.ask("/api/v1/events?limit=100")[1])["events"]) == 69
    assert box.ask("/events")[0] == box.ask("/")[0] == 200
