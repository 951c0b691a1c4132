"""Writes a split in the folder layout that ultralytics reads."""

import json
import shutil
from pathlib import Path

from plateid.capture.images import IMAGE_SUFFIXES
from train.dataset.grouping import Split
from train.dataset.labelled_image import LabelledImage

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
"""Markers of the first and the last bytes of a JPEG file."""


def write_yolo(split: Split, root: Path) -> Path:
    """Links the images, writes their labels, and returns the path of `data.yaml`.

    Replaces `root` after everything is written.
    """
    new = root.with_name(f"{root.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for side, images in zip(("train", "val"), split, strict=True):
        files, labels = new / "images" / side, new / "labels" / side
        for folder in (files, labels):
            folder.mkdir(parents=True)
        for number, image in enumerate(images):
            # the number distinguishes images of the same name in two folders, or with two suffixes
            name = f"{number:05}_{image.path.name.encode('ascii', 'ignore').decode()}"
            if image.path.suffix.lower() not in IMAGE_SUFFIXES:
                name += ".jpg"  # ultralytics ignores files with other suffixes
            _link(files / name, image.path)
            (labels / name).with_suffix(".txt").write_text(_yolo_lines(image))
    path = json.dumps(str(root.resolve()), ensure_ascii=False)  # YAML has no surrogate pairs
    (new / "data.yaml").write_text(
        f"path: {path}\ntrain: images/train\nval: images/val\nnames: {{0: plate}}\n",
        encoding="utf-8",
    )
    shutil.rmtree(root, ignore_errors=True)
    new.rename(root)
    return root / "data.yaml"


def _link(link: Path, image: Path) -> None:
    """Links an image. Copies a JPEG with appended data (motion photo): ultralytics rewrites it."""
    content = image.read_bytes()
    if content.startswith(JPEG_START) and not content.endswith(JPEG_END):
        link.write_bytes(content + JPEG_END)
    else:
        link.symlink_to(image.resolve())


def _yolo_lines(image: LabelledImage) -> str:
    lines = []
    for x1, y1, x2, y2 in image.boxes:
        centre = (x1 + x2) / 2 / image.width, (y1 + y2) / 2 / image.height
        size = (x2 - x1) / image.width, (y2 - y1) / image.height
        lines.append("0 " + " ".join(f"{value:.6f}" for value in (*centre, *size)))
    return "\n".join(lines)
