"""Stored events: parsing gives the same JSON again."""

import pytest
from hypothesis import given

from plateid.store.database import CorruptError, parse_event
from tests.core.test_schema import events


@given(events)
def test_parsed_event_has_the_same_json(event):
    stored = event.to_json()
    assert parse_event(stored).to_json() == stored


@pytest.mark.parametrize("payload", ["", "{", "[]", '{"plate": "CJ12ABC", "camera": 1}'])
def test_document_that_is_no_event_is_corrupt_and_not_repeated(payload):
    with pytest.raises(CorruptError, match="something else than events") as raised:
        parse_event(payload)
    assert "CJ12ABC" not in str(raised.value)
