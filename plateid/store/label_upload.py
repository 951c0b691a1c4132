"""What a device sends to its hub for the page "Review" there: labels, and plates to label."""

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from plateid.core.geometry import clipped
from plateid.core.lists import ListEntry
from plateid.store.label_export import crop_jpeg
from plateid.store.labels import Labels
from plateid.store.snapshot_files import legible_image, plate_box


def send_labels(
    store: Path, entries: Iterable[ListEntry], post: Callable[[dict[str, Any]], list[str]]
) -> Iterator[None]:
    """Sends labels and offers plates to label; then, as steps, the images that the hub wants.

    `post` returns the ids of events whose image it wants. Images show a plate and its surroundings.
    Plates that [privacy] hides are no tasks. Raises StoreError.
    """
    labels = Labels(store)
    known = {label.id: (label, event) for label, event in labels.all()}
    tasks = {task.event["id"]: task.event for task in labels.tasks(entries)}
    events = tasks | {id_: event for id_, (_, event) in known.items()}
    own = [asdict(label) for label, _ in known.values()]
    for id_ in events.keys() & set(post({"labels": own, "offered": [*tasks]})):
        if (image := legible_image(store, events[id_])) is not None:
            box = known[id_][0].box if id_ in known else plate_box(image, events[id_])
            jpeg = base64.b64encode(crop_jpeg(image, clipped(box, image))).decode()
            post({"images": {id_: jpeg}})
        yield
