"""`models.reader = "easyocr"` where the extra is not installed; tests/train reads with it."""

import sys

import pytest

from plateid.config.models import ModelsConfig
from plateid.errors import ModelError
from plateid.models.networks import Networks


def test_missing_easyocr_says_what_to_install(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "easyocr", None)
    with pytest.raises(ModelError, match=r'models.reader = "easyocr": needs the extra easyocr'):
        Networks(ModelsConfig(bundle=bundle, reader="easyocr"))
