"""OME-Zarr 0.5 metadata of an image group and of its labels (https://ngff.openmicroscopy.org/0.5/)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

VERSION = "0.5"


@dataclass(frozen=True)
class PixelSize:
    """Measured pixel sizes by axis, and their unit. Axes without a size are counted in pixels."""

    sizes: Mapping[str, float] = field(default_factory=dict)
    unit: str = ""

    @staticmethod
    def of_record(record: Mapping[str, Any]) -> "PixelSize":
        """The pixel size in the attributes `spacing` and `unit` of an image group."""
        sizes = zip("zyx", record.get("spacing") or (), strict=False)
        return PixelSize({axis: float(size) for axis, size in sizes if size is not None}, record.get("unit") or "")


def _axis(name: str, pixel: PixelSize) -> dict[str, str]:
    if name == "c":
        return {"name": name, "type": "channel"}
    unit = {"unit": pixel.unit} if pixel.unit and name in pixel.sizes else {}
    return {"name": name, "type": "space", **unit}


def image_attributes(array_name: str, axes: tuple[str, ...], pixel: PixelSize) -> dict[str, Any]:
    """Attribute `ome` of a group that holds one image, at full resolution.

    OME-NGFF requires a scale. An axis of unknown pixel size gets scale 1 and no unit, which means pixels.
    """
    scale = {"type": "scale", "scale": [pixel.sizes.get(axis, 1.0) for axis in axes]}
    multiscale = {
        "name": array_name,
        "axes": [_axis(a, pixel) for a in axes],
        "datasets": [{"path": array_name, "coordinateTransformations": [scale]}],
    }
    return {"version": VERSION, "multiscales": [multiscale]}


def label_attributes(array_name: str, axes: tuple[str, ...], pixel: PixelSize) -> dict[str, Any]:
    """Attribute `ome` of one label image."""
    return {**image_attributes(array_name, axes, pixel), "image-label": {"source": {"image": "../../"}}}


def labels_attributes(names: list[str]) -> dict[str, Any]:
    """Attribute `ome` of the group `labels`."""
    return {"version": VERSION, "labels": names}
