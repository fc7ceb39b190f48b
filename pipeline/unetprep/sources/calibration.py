"""Pixel sizes that image files state: TIFF (ImageJ, OME, resolution tags), OME-Zarr and images of a store.

Only sizes that a file states are returned, never defaults. An OME-Zarr axis without a unit has no size, whatever its
scale, since writers store a scale of 1 for unknown sizes. TIFF 6.0, section 8 (resolution); OME-XML 2016-06
(PhysicalSizeX); OME-NGFF 0.5 (coordinateTransformations).
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import tifffile
import zarr

from unetprep.sources.formats.tiff import TiffSource
from unetprep.sources.formats.tiff_parts import open_tiff
from unetprep.sources.formats.zarr_files import ZarrSource
from unetprep.sources.source import Source
from unetprep.sources.urls import File, is_url, storage_at

ALIASES = {  # UDUNITS-2 names, which OME-Zarr uses, and abbreviations in files
    "micrometer": ("um", "\u00b5m", "\u03bcm", "\\u00b5m", "micron", "microns", "micrometers", "micrometre"),
    "nanometer": ("nm", "nanometers", "nanometre"),
    "angstrom": ("\u00c5", "\\u00c5", "angstroms"),
    "millimeter": ("mm", "millimeters", "millimetre"),
    "centimeter": ("cm", "centimeters", "centimetre"),
    "meter": ("m", "meters", "metre"),
    "inch": ("in", "inches"),
}
NAMES = {alias: name for name, aliases in ALIASES.items() for alias in (name, *aliases)}
NO_UNITS = ("", "pixel", "pixels", "px")
RESOLUTION_UNITS = {2: "inch", 3: "centimeter"}  # of the tag ResolutionUnit; 1 is none

Sizes = Mapping[str, float]  # by axis letter


@dataclass(frozen=True)
class Calibration:
    """Pixel sizes along z, y and x that an image file states. `z` is None if only y and x are calibrated.

    `unit` is a name such as "micrometer", or empty if sizes have no unit.
    """

    z: float | None
    y: float
    x: float
    unit: str


def read_calibration(source: Source) -> Calibration | None:
    """The pixel sizes in the file of an image; None if it has none."""
    if isinstance(source, TiffSource):
        letters, (sizes, unit) = _tiff(source)
    elif isinstance(source, ZarrSource):
        letters, (sizes, unit) = _zarr(source)
    else:
        return None
    if len(letters) != len(source.axes):
        return None
    # The user may have named other axes than the file.
    named = {axis: sizes[letter] for axis, letter in zip(source.axes, letters, strict=True) if letter in sizes}
    if not {"y", "x"} <= set(named):
        return None
    return Calibration(named.get("z"), named["y"], named["x"], unit)


def _known(sizes: Mapping[str, Any], unit: object) -> tuple[Sizes, str]:
    """The sizes that are positive numbers, and the name of their unit."""
    found = {axis: float(n) for axis, n in sizes.items() if isinstance(n, int | float) and 0 < n < math.inf}
    text = str(unit).strip()
    return found, NAMES.get(text, NAMES.get(text.lower(), text))


# -- TIFF -------------------------------------------------------------------------------------------------------------


def _tiff(source: TiffSource) -> tuple[str, tuple[Sizes, str]]:
    if is_url(source.path):
        return _tiff_sizes(open_tiff(File.at(source.path, source.endpoint)).tiff)
    with tifffile.TiffFile(source.path) as tiff:
        return _tiff_sizes(tiff)


def _tiff_sizes(tiff: tifffile.TiffFile) -> tuple[str, tuple[Sizes, str]]:
    letters = tiff.series[0].axes
    for read in (_imagej_sizes, _ome_sizes, _tag_sizes):
        sizes, unit = read(tiff)
        if {"Y", "X"} <= set(sizes):
            return letters, (sizes, unit)
    return letters, ({}, "")


def _imagej_sizes(tiff: tifffile.TiffFile) -> tuple[Sizes, str]:
    found = tiff.imagej_metadata or {}
    unit = str(found.get("unit", "")).strip()
    if unit.lower() in NO_UNITS:
        return {}, ""
    return _known({**_resolution(tiff), "Z": found.get("spacing")}, unit)


def _ome_sizes(tiff: tifffile.TiffFile) -> tuple[Sizes, str]:
    try:
        root = ElementTree.fromstring(tiff.ome_metadata or "<none/>")
    except ElementTree.ParseError:
        return {}, ""
    pixels = root.find(".//{*}Image/{*}Pixels")
    if pixels is None:
        return {}, ""
    units = {axis: pixels.get(f"PhysicalSize{axis}Unit", "\u00b5m") for axis in "ZYX"}
    sizes = {axis: _number(pixels.get(f"PhysicalSize{axis}")) for axis in "ZYX" if units[axis] == units["X"]}
    return ({}, "") if units["X"].lower() in NO_UNITS else _known(sizes, units["X"])


def _tag_sizes(tiff: tifffile.TiffFile) -> tuple[Sizes, str]:
    tag = tiff.pages.first.tags.get("ResolutionUnit")
    unit = RESOLUTION_UNITS.get(int(tag.value) if tag else 0)
    return _known(_resolution(tiff), unit) if unit else ({}, "")


def _resolution(tiff: tifffile.TiffFile) -> dict[str, float | None]:
    """Pixel sizes from the tags XResolution and YResolution, which are fractions of pixels per unit."""
    sizes: dict[str, float | None] = {}
    for axis in "YX":
        tag = tiff.pages.first.tags.get(f"{axis}Resolution")
        value = tag.value if tag else None
        is_fraction = isinstance(value, tuple) and len(value) == 2 and value[0] > 0
        sizes[axis] = value[1] / value[0] if is_fraction and value is not None else None
    return sizes


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


# -- Zarr -------------------------------------------------------------------------------------------------------------


def _zarr(source: ZarrSource) -> tuple[str, tuple[Sizes, str]]:
    storage = storage_at(source.path, source.endpoint) if is_url(source.path) else None
    with storage.errors("read") if storage else nullcontext():
        node = zarr.open(storage.zarr_store() if storage else source.path, mode="r")
        attributes: dict[str, Any] = node.attrs.asdict()
    ours = attributes.get("unetprep")
    if isinstance(ours, dict):
        return _letters_of(attributes), _store_sizes(ours)
    try:
        return _letters_of(attributes), _ome_zarr_sizes(attributes)
    except (LookupError, TypeError, AttributeError):  # not valid OME-NGFF
        return "", ({}, "")


def _letters_of(attributes: dict[str, Any]) -> str:
    images = attributes.get("ome", attributes).get("multiscales") or [{}]
    return "".join(str(axis["name"]) for axis in images[0].get("axes", []))


def _store_sizes(ours: dict[str, Any]) -> tuple[Sizes, str]:
    """Pixel sizes of an image group of a store, whose OME scale is 1 for unknown sizes; see LAYOUT.md."""
    spacing = ours.get("spacing")
    if not isinstance(spacing, list) or len(spacing) != 3:
        return {}, ""
    return _known(dict(zip("zyx", spacing, strict=True)), ours.get("unit") or "")


def _ome_zarr_sizes(attributes: dict[str, Any]) -> tuple[Sizes, str]:
    image = attributes.get("ome", attributes)["multiscales"][0]
    names = [axis["name"] for axis in image["axes"]]
    units = {axis["name"]: axis.get("unit") for axis in image["axes"]}
    steps = [*image["datasets"][0].get("coordinateTransformations", []), *image.get("coordinateTransformations", [])]
    scale = _product(len(names), [step["scale"] for step in steps if step["type"] == "scale"])
    unit = units.get("x") or ""
    measured = [n for n in ("z", "y", "x") if n in names and units[n] == unit and unit.lower() not in NO_UNITS]
    return _known({n: scale[names.index(n)] for n in measured}, unit) if scale else ({}, "")


def _product(length: int, scales: Sequence[Sequence[float]]) -> list[float]:
    """Product of the scales of an image and its first level; empty if there is none."""
    if not scales or any(len(scale) != length for scale in scales):
        return []
    return [math.prod(values) for values in zip(*scales, strict=True)]
