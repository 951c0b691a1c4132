"""All fuzz targets by name."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from tests.fuzz import file_targets, network_targets
from tests.fuzz.file_targets import Target, data_set
from tests.train.dataset.data_sets import HEADER, coco, voc

MEMORY = "/dev/shm"  # noqa: S108 - targets get a private folder in it
"""Folder without a disk, whose syncs would take most of the time."""
TARGETS: dict[str, Callable[[Path], AbstractContextManager[Target]]] = {
    made.__name__: made
    for made in (
        network_targets.event_json,
        network_targets.search_fields,
        network_targets.http_request,
        network_targets.mqtt_answer,
        network_targets.webhook_answer,
        network_targets.gpsd_report,
        network_targets.camera_post,
        file_targets.config_file,
        file_targets.format_file,
        file_targets.list_file,
        file_targets.plate_text,
        file_targets.bundle_archive,
        file_targets.bundle_spec,
        file_targets.bundle_signature,
        file_targets.image_file,
        file_targets.store_pages,
        file_targets.store_file,
    )
} | {
    f"labels_{name.rpartition('.')[2]}": partial(data_set, name=name, seed=seed.encode())
    for name, seed in (
        ("labels.csv", f"{HEADER}a.png,1,2,30,12,B68SPK,clear,,\n"),
        ("labels.json", coco("a.png")),
        ("images/a.txt", "0 .5 .5 .5 .5\n"),
        ("data.yaml", "names: [plate]\n"),
        ("images/a.xml", voc("plate", size=(40, 20))),
    )
}
