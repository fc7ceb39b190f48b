"""Images in a TIFF file: series, pyramids, sets of OME-TIFF files, and the pixel sizes that its metadata state.

A resolution per inch or centimetre is no pixel size: editors write 72 or 300 dpi into every file. TIFF 6.0, section 8;
OME-XML 2016-06 (PhysicalSizeX, UUID); ImageJ and Zeiss LSM metadata as tifffile gives them.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import tifffile

from unetprep.errors import InvalidInput
from unetprep.sources.source import Choice, PixelSize
from unetprep.sources.units import METERS, pixel_size_of

ALPHA = (1, 2)  # extra samples: associated and unassociated alpha
RESOLUTION_UNITS = {2: "inch", 3: "centimeter"}  # of the tag ResolutionUnit; 1 is none


class Place(NamedTuple):
    """An image in a TIFF file: the number of its series, and of its level in that series."""

    series: int = 0
    level: int = 0


def find_image(path: str, tiff: tifffile.TiffFile, choice: Choice) -> Place:
    """The image that is chosen. Raises InvalidInput if there are several, or no such level or series."""
    series = tiff.series
    if not series:
        raise InvalidInput(f"{path} holds no image", hint="open it in a viewer: it may be truncated")
    if choice.series is None and is_pyramid([one.shape for one in series], [one.axes for one in series]):
        levels = [Place(i) for i in range(len(series))]
    else:
        first = 0 if choice.series is None and _is_main(tiff, series) else None
        at = choice.pick(path, "images", [_name_of(one) for one in series]) if first is None else first
        levels = [Place(at, i) for i in range(len(series[at].levels))]
    return levels[choice.pick_level(path, [image_at(tiff, place).shape for place in levels])]


def image_at(tiff: tifffile.TiffFile, place: Place) -> tifffile.TiffPageSeries:
    """An image of a file."""
    return tiff.series[place.series].levels[place.level]


def is_pyramid(shapes: Sequence[tuple[int, ...]], axes: Sequence[str]) -> bool:
    """Whether images are the levels of a pyramid: each smaller than the one before by one whole factor."""
    if len(shapes) < 2 or len(set(axes)) > 1 or not {"Y", "X"} <= set(axes[0]):
        return False
    y, x = axes[0].index("Y"), axes[0].index("X")
    rest = {tuple(n for i, n in enumerate(shape) if i not in (y, x)) for shape in shapes}
    sides = [(shape[y], shape[x]) for shape in shapes]
    return len(rest) == 1 and all(_is_level(above, below) for above, below in pairwise(sides))


def _is_level(above: tuple[int, int], below: tuple[int, int]) -> bool:
    """Whether sides are those of another image divided by 2, 3, ..., rounded up or down."""
    factor = round(max(above) / max(max(below), 1))
    return factor >= 2 and all(b in (a // factor, -(-a // factor)) for a, b in zip(above, below, strict=True))


def _is_main(tiff: tifffile.TiffFile, series: Sequence[tifffile.TiffPageSeries]) -> bool:
    """Whether the first image is the only full one: of an LSM file, or a pyramid beside a label and an overview."""
    return tiff.is_lsm or (len(series[0].levels) > 1 and all(one.size <= series[0].size for one in series[1:]))


def _name_of(series: tifffile.TiffPageSeries) -> str:
    shape = " x ".join(map(str, series.shape))
    return f"{shape} ({series.name})" if series.name else shape


def refuse_missing_files(path: str, tiff: tifffile.TiffFile) -> bool:
    """Whether an OME-TIFF consists of several files. Raises InvalidInput if one is missing: it would read as zeros."""
    names = sorted(_files_named(tiff.ome_metadata or "")) if tiff.is_ome else []
    others = [name for name in names if name != os.path.basename(path)]
    own = os.path.basename(path) in names
    if not others or (not own and len(names) == 1):  # a single file that was renamed
        return False
    missing = [name for name in others if "://" in path or not (Path(path).parent / name).exists()]
    if missing:
        more = f" and {len(missing) - 3} more" if missing[3:] else ""
        raise InvalidInput(
            f"{path} is one of {len(names)} files of an OME-TIFF, and {', '.join(missing[:3])}{more}"
            f" {'are' if missing[1:] else 'is'} not there",
            allowed="all files of the set in one folder",
            hint="copy them there, or save the image as a single file",
        )
    return True


def _files_named(xml: str) -> Iterator[str]:
    root = _parsed(xml)
    for one in root.iter() if root is not None else ():
        if one.tag.endswith("}UUID") or one.tag == "UUID":
            yield from {one.attrib["FileName"]} if one.attrib.get("FileName") else ()


def _parsed(xml: str) -> ElementTree.Element | None:
    try:
        return ElementTree.fromstring(xml) if xml else None
    except ElementTree.ParseError:
        return None


def has_alpha(image: tifffile.TiffPageSeries) -> bool:
    """Whether the last sample of each pixel is an alpha channel."""
    extra = tuple(int(kind) for kind in image.keyframe.extrasamples)
    return bool(extra) and extra[-1] in ALPHA and image.keyframe.samplesperpixel in (2, 4) and "S" in image.axes


# -- pixel sizes ------------------------------------------------------------------------------------------------------


def read_pixel_size(tiff: tifffile.TiffFile, place: Place) -> tuple[PixelSize | None, str]:
    """The pixel size (z, y, x) of an image, and its unit; None if its metadata state none."""
    readers = [read for read, states in zip(READERS, (tiff.is_imagej, tiff.is_lsm, tiff.is_ome), strict=True) if states]
    image = image_at(tiff, place)
    for read in readers:
        sizes, units = read(tiff, place.series)
        size, unit = pixel_size_of(sizes, units)
        if size is not None:
            full = tiff.series[place.series if place.level else 0]
            return _of_level(size, full, image), unit
    return None, ""


def _of_level(size: PixelSize, full: Any, image: Any) -> PixelSize:
    """The pixel size of a level of a pyramid, from that of the full resolution."""
    if full.axes != image.axes:
        return size
    factors = [full.shape[full.axes.index(a)] / image.shape[full.axes.index(a)] if a in full.axes else 1 for a in "ZYX"]
    z, y, x = (None if n is None else n * f for n, f in zip(size, factors, strict=True))
    return (z if "Z" in image.axes else None), y, x


def _imagej(tiff: tifffile.TiffFile, series: int) -> tuple[dict[str, Any], dict[str, str]]:
    found = tiff.imagej_metadata or {}
    unit = str(found.get("unit", ""))
    return {**_resolution(tiff), "z": found.get("spacing")}, dict.fromkeys("zyx", unit)


def _lsm(tiff: tifffile.TiffFile, series: int) -> tuple[dict[str, Any], dict[str, str]]:
    """Sizes in micrometres; an LSM file has them in metres."""
    found = (tiff.lsm_metadata or {}) if tiff.is_lsm else {}
    sizes = {a: found.get(f"VoxelSize{a.upper()}") for a in "zyx"}
    micro = {a: size / METERS["micrometer"] for a, size in sizes.items() if isinstance(size, float)}
    return micro, dict.fromkeys("zyx", "micrometer")


def _ome(tiff: tifffile.TiffFile, series: int) -> tuple[dict[str, Any], dict[str, str]]:
    root = _parsed((tiff.ome_metadata or "") if tiff.is_ome else "")
    found = [] if root is None else root.findall(".//{*}Image/{*}Pixels")
    if not found:
        return {}, {}
    pixels = found[series] if series < len(found) else found[0]
    units = {a: pixels.get(f"PhysicalSize{a.upper()}Unit", "micrometer") for a in "zyx"}
    return {a: pixels.get(f"PhysicalSize{a.upper()}") for a in "zyx"}, units


def _resolution(tiff: tifffile.TiffFile) -> dict[str, float | None]:
    """Pixel sizes from the tags XResolution and YResolution, which are fractions of pixels per unit."""
    sizes: dict[str, float | None] = {}
    for axis in "YX":
        tag = tiff.pages.first.tags.get(f"{axis}Resolution")
        value = tag.value if tag else None
        is_fraction = isinstance(value, tuple) and len(value) == 2 and value[0] > 0
        sizes[axis.lower()] = value[1] / value[0] if is_fraction and value is not None else None
    return sizes


def read_resolution(tiff: tifffile.TiffFile) -> tuple[PixelSize | None, str]:
    """The resolution per inch or centimetre, as a size (z, y, x) in that unit; see the module."""
    tag = tiff.pages.first.tags.get("ResolutionUnit")
    unit = RESOLUTION_UNITS.get(int(tag.value) if tag else 0, "")
    return pixel_size_of(dict(_resolution(tiff)), dict.fromkeys("yx", unit))


READERS = (_imagej, _lsm, _ome)
