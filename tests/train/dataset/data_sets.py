"""Small data sets in each label format, laid out as the tools that export them do."""

import json
from pathlib import Path

import cv2
import numpy as np

BOX = (20.0, 30.0, 120.0, 60.0)
ROW = "0 0.35 0.45 0.5 0.3"
"""BOX in an image of 200 x 100."""


def lay_out(root: Path, files: dict[str, str | bytes]) -> Path:
    """Writes files; an image needs no content."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        elif path.suffix in {".jpg", ".png", ".JPG"}:
            level = len(list(root.rglob("*")))
            cv2.imwrite(str(path), np.full((100, 200, 3), level, np.uint8))
        else:
            path.touch()
    return root


def coco(
    *names: str,
    boxes: tuple[int, ...] = (0,),
    classes: tuple[str, ...] = ("plate",),
    **image: object,
) -> str:
    """Lists images, and a box of the first class in each image number of `boxes`."""
    return json.dumps(
        {
            "images": [{"id": i, "file_name": name, **image} for i, name in enumerate(names)],
            "annotations": [
                {"id": n, "image_id": i, "category_id": 0, "bbox": [20, 30, 100, 30]}
                for n, i in enumerate(boxes)
            ],
            "categories": [{"id": i, "name": name} for i, name in enumerate(classes)],
        }
    )


def voc(
    *names: str, filename: str = "x.jpg", size: tuple[int | str, int | str] = (200, 100)
) -> str:
    corners = "<xmin>20</xmin><ymin>30</ymin><xmax>120</xmax><ymax>60</ymax>"
    objects = "".join(
        f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>" for name in names
    )
    width, height = size
    return (
        f"<annotation verified='yes'><filename>{filename}</filename><size><width>{width}</width>"
        f"<height>{height}</height></size>{objects}</annotation>"
    )


def exif_rotated(jpeg: bytes) -> bytes:
    """Adds orientation 6: viewers rotate the image by 90 degrees clockwise."""
    ifd = b"\x00\x01" + b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00" + bytes(4)
    exif = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08" + ifd
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + jpeg[2:]


HEADER = "image,x1,y1,x2,y2,text,legibility,video,t\n"


def data_set(path: Path, rows: str, *, images: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    """Writes black images of 200 x 100 and labels.csv."""
    (path / "images").mkdir(parents=True)
    for name in images:
        cv2.imwrite(str(path / "images" / name), np.zeros((100, 200, 3), np.uint8))
    (path / "labels.csv").write_text(HEADER + rows)
    return path


def scene(seed: int) -> np.ndarray:
    """Returns a unique image of 200 x 100."""
    cells = np.random.default_rng(seed).integers(0, 255, (12, 24, 3)).astype(np.uint8)
    return cv2.resize(cells, (200, 100), interpolation=cv2.INTER_CUBIC)
