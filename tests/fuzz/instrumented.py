"""Runs one fuzz target with coverage guidance: TARGET FOLDER, then arguments of libFuzzer."""

import logging
import sys
from pathlib import Path

import atheris
import structlog

with atheris.instrument_imports(include=["plateid", "train"]):
    from tests.fuzz.targets import TARGETS

name, folder = sys.argv.pop(1), sys.argv.pop(1)
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
with TARGETS[name](Path(folder)) as (_, run):
    atheris.Setup(sys.argv, run)
    atheris.Fuzz()
