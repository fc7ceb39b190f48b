"""OME-Zarr 0.5 metadata of an image group and of its labels (https://ngff.openmicroscopy.org/0.5/)."""

from typing import Any

VERSION = "0.5"


def _axis(name: str) -> dict[str, str]:
    return {"name": name, "type": "channel" if name == "c" else "space"}


def image_attributes(array_name: str, axes: tuple[str, ...]) -> dict[str, Any]:
    """Attribute `ome` of a group that holds one image, at full resolution, in pixels."""
    scale = {"type": "scale", "scale": [1.0] * len(axes)}
    multiscale = {
        "name": array_name,
        "axes": [_axis(a) for a in axes],
        "datasets": [{"path": array_name, "coordinateTransformations": [scale]}],
    }
    return {"version": VERSION, "multiscales": [multiscale]}


def label_attributes(array_name: str, axes: tuple[str, ...]) -> dict[str, Any]:
    """Attribute `ome` of one label image."""
    return {**image_attributes(array_name, axes), "image-label": {"source": {"image": "../../"}}}


def labels_attributes(names: list[str]) -> dict[str, Any]:
    """Attribute `ome` of the group `labels`."""
    return {"version": VERSION, "labels": names}
