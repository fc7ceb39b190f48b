"""OME-Zarr 0.5 metadata of an image group and of its labels (https://ngff.openmicroscopy.org/0.5/)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

VERSION = "0.5"
COLORS = ("FF0000", "00FF00", "0000FF", "FFFF00", "FF00FF", "00FFFF")  # of several channels, in turn


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


def display_window(record: Mapping[str, Any], num_channels: int) -> dict[str, Any]:
    """Attribute `omero` of a group of images, so that viewers show its intensity range; {} if none is recorded."""
    table = record.get("images") or {}
    ranges = [r for r in table.get("intensity") or [record.get("intensity")] if r]
    if not ranges:
        return {}
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    window = {"min": low, "max": high, "start": low, "end": high}
    colors = COLORS if num_channels > 1 else ("FFFFFF",)
    channels = [{"color": colors[c % len(colors)], "window": window, "active": True} for c in range(num_channels)]
    return {"omero": {"channels": channels}}


def label_attributes(array_name: str, axes: tuple[str, ...], pixel: PixelSize) -> dict[str, Any]:
    """Attribute `ome` of one label image."""
    return {**image_attributes(array_name, axes, pixel), "image-label": {"source": {"image": "../../"}}}


def labels_attributes(names: list[str]) -> dict[str, Any]:
    """Attribute `ome` of the group `labels`."""
    return {"version": VERSION, "labels": names}
