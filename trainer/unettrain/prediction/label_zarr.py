"""Instance labels as OME-Zarr 0.5 (https://ngff.openmicroscopy.org/0.5/), alone or beside their image.

Beside means IMAGE.zarr/labels/NAME in the OME-Zarr image that was predicted, where viewers find it.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from unetprep.errors import Conflict, InvalidInput
from unetprep.format.ome import PixelSize, image_attributes, label_attributes, labels_attributes
from unetprep.sources.urls import is_url
from unetprep.storage.atomic import replacing
from unettrain.prediction.layout import Layout
from unettrain.prediction.windows import ROWS, Read, windows_of

ARRAY = "0"
CHUNK_PX = 512
LABELS = "labels"
DOCUMENT = "zarr.json"


def write_label_zarr(path: Path, read: Read, layout: Layout, pixel: PixelSize, *, is_beside: bool = False) -> None:
    """Write labels as a group with one array. Windows are whole chunks."""
    axes = tuple(layout.axes)
    ome = label_attributes(ARRAY, axes, pixel)
    if not is_beside:
        ome = image_attributes(ARRAY, axes, pixel) | {"image-label": {}}
    group = zarr.create_group(str(path), attributes={"ome": ome, "unettrain": {"software": layout.mark}})
    sides = {"y": min(ROWS, layout.shape[2]), "x": min(CHUNK_PX, layout.shape[3])}
    array = group.create_array(
        ARRAY,
        shape=layout.file_shape,
        dtype=layout.dtype,
        chunks=tuple(sides.get(axis, 1) for axis in axes),
        dimension_names=axes,
        config={"write_empty_chunks": True},  # so that a missing chunk is damage
    )
    for window in windows_of(layout.shape):
        z = (window.z,) if layout.keeps_slices else ()
        array[(*z, window.rows, window.columns)] = read(window)[0].astype(np.dtype(layout.dtype))


def label_zarr_mark(path: Path) -> str:
    """The mark of a folder that holds marked labels and nothing else; "" for any other folder."""
    document = _document(path)
    if document.get("node_type") != "group" or {entry.name for entry in path.iterdir()} != {DOCUMENT, ARRAY}:
        return ""
    try:
        return str(document["attributes"]["unettrain"]["software"])
    except (LookupError, TypeError):
        return ""


def is_beside_image(out: Path) -> bool:
    """Whether a path is IMAGE/labels/NAME of an existing Zarr hierarchy IMAGE."""
    return out.parent.name == LABELS and any((out.parent.parent / name).exists() for name in (DOCUMENT, ".zgroup"))


def check_beside_image(out: Path) -> None:
    """Raise InvalidInput if labels cannot be written to IMAGE/labels/NAME."""
    image = out.parent.parent
    document = _document(image)
    attributes = document.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    ome = attributes.get("ome")
    if not isinstance(ome, dict) or "multiscales" not in ome:
        raise InvalidInput(
            f"--out is {out}, and {image} is no OME-Zarr image of version 0.5",
            allowed="IMAGE.zarr/labels/NAME in such an image, or NAME.zarr",
        )
    if "unetprep" in attributes:
        raise InvalidInput(f"--out is {out}, inside of a store of unetprep", hint="name a path outside of it")


def check_image_of_labels(out: Path, image: str | None) -> None:
    """Raise InvalidInput if IMAGE/labels/NAME would hold the labels of another image than IMAGE; None is an array."""
    place = out.parent.parent
    if image is None or is_url(image) or Path(os.path.realpath(image)) != Path(os.path.realpath(place)):
        raise InvalidInput(
            f"--out is {out}, and the image that is predicted is {image or 'an array'}",
            allowed=f"the labels of {place} itself",
            hint="predict this image, or name an --out NAME.zarr",
        )


def list_beside_image(out: Path) -> None:
    """List the labels at IMAGE/labels/NAME in the group of labels, which is made if there is none."""
    document = _document(out.parent) or {"zarr_format": 3, "node_type": "group", "attributes": {}}
    attributes = document.setdefault("attributes", {})
    names = attributes.get("ome", {}).get("labels", [])
    if not isinstance(names, list):
        raise Conflict(f"{out.parent / DOCUMENT} lists labels {names!r}", allowed="a list of names")
    if out.name not in names:
        attributes["ome"] = attributes.get("ome", {}) | labels_attributes([*names, out.name])
        with replacing(out.parent / DOCUMENT) as file:
            file.write(json.dumps(document, indent=2).encode())


def _document(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((path / DOCUMENT).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
