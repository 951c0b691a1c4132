"""Mutated files are accepted, or refused with one clear error."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.config.load import formats_of, load_config, load_formats
from plateid.config.models import ModelsConfig
from plateid.config.outputs import ListsConfig
from plateid.errors import BundleError, ConfigError, ModelError
from plateid.models.networks import Networks
from plateid.store.list_file import ListFile
from tests.hostile.mutations import accepts, hostile, mutated, mutated_table, time_limit
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.samples import SEEN

pytestmark = time_limit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


EXAMPLE = Path("systemd/plateid.toml").read_text()
CONFIG = """
[[camera]]
name = "drive"
url = "rtsp://camera.local/stream"
roi = [[0, 0.3], [1, 0.3], [1, 1], [0, 1]]
masks = [[[0.7, 0.3], [1, 0.3], [1, 0.4], [0.7, 0.4]]]
min_plate_height = 14
line = [[0.1, 0.6], [0.9, 0.6]]

[camera.events]
min_confidence = 0.8

[lists]
file = "plates.csv"

[[webhook]]
name = "gate"
url = "https://gate.local/hook"
secret_file = "webhook-secret"
lists = ["allow"]
events = ["plate_seen"]
max_age_s = 30

[logfile]
csv = "/var/lib/plateid/events.csv"
"""
WHOLE_CONFIG = tomllib.loads(CONFIG) | {
    "device": "gate",
    "mqtt": {"host": "broker.local", "port": 8883, "tls": True, "username": "a"},
    "events": {"regions": ["ro", "eu"], "strict": True, "max_wait_s": 3.0, "min_reads": 3},
    "models": {"bundle": "accurate", "provider": "cpu", "threads": 2},
    "store": {"path": "events.sqlite3"},
    "retention": {"events_mb": 2, "outbox_events": 10, "outbox_days": 2.5},
    "homeassistant": {"enabled": True, "prefix": "homeassistant"},
    "privacy": {"unlisted": "hash", "listed": "drop", "key_days": 1},
    "gps": {"enabled": True, "host": "::1", "port": 2947},
    "metrics": {"enabled": True, "host": "127.0.0.1", "port": 9797},
}


@hostile
@given(st.one_of(mutated(CONFIG.encode()), mutated(EXAMPLE.encode()), mutated_table(WHOLE_CONFIG)))
def test_config_is_accepted_or_one_error(folder: Path, content: bytes) -> None:
    file = folder / "plateid.toml"
    file.write_bytes(content)
    accepts("", lambda: formats_of(load_config(file)), ConfigError)


LIST = b"""plate,list,name,note,valid_from,valid_to,cameras
B 68 SPK,allow,Ana,blue,,,
CJ 12 ABC,deny,,,2026-01-01,2026-12-31,drive
"""


@hostile
@given(mutated(LIST) | st.binary(max_size=200), st.text(max_size=12))
def test_list_is_accepted_or_one_error(folder: Path, content: bytes, plate: str) -> None:
    file = folder / "plates.csv"
    file.write_bytes(content)

    def match() -> None:
        lists = ListFile(ListsConfig(file=file, max_distance=3), ("gate", "drive")).lists
        for text in (plate, *(entry.plate for entry in lists.entries)):
            lists.match(text, camera="gate", at=SEEN.first_seen)

    accepts(file, match, ConfigError)


FORMATS = b"""
[ro]
patterns = ["B+D2|DDD LLL", "AB|AR|CJ+DD LLL"]
letters = "ABCDEFGHIJKLMNOPRSTUVWXYZ"
[fo]
patterns = ["LL DD"]
[fo.old]
patterns = ["XXX+A|BC DDDD"]
"""


@hostile
@given(mutated(FORMATS) | mutated_table(tomllib.loads(FORMATS.decode())), st.text(max_size=12))
def test_format_file_is_accepted_or_one_error(folder: Path, content: bytes, plate: str) -> None:
    file = folder / "formats.toml"
    file.write_bytes(content)

    def use() -> None:
        formats = load_formats(file)
        for text in (plate, "B68SPK", "ABC1234"):
            formats.fits(text)
            formats.display(text, formats.region_of(text))

    accepts(file, use, ConfigError)


@pytest.fixture(scope="module")
def tiny(folder: Path) -> Path:
    return write_bundle(
        folder / "bundle",
        detector_network([(32, 16, 20, 8, 0.9)]),
        reader_network("-AA-B-11-2", regions=(0.5, 0.5)),
    )


@hostile
@given(st.data())
def test_bundle_is_accepted_or_one_error(tiny: Path, data: st.DataObject) -> None:
    file = tiny / "bundle.toml"
    good = tiny / "good.toml"
    if not good.exists():
        good.write_bytes(file.read_bytes())
    text = good.read_bytes()
    file.write_bytes(data.draw(mutated(text) | mutated_table(tomllib.loads(text.decode()))))

    def use() -> None:
        networks = Networks(ModelsConfig(bundle=tiny))
        networks.detector()
        networks.reader()

    accepts(tiny, use, BundleError, ModelError)
