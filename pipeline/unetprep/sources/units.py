"""Units of length by their names in OME-NGFF, and what files call them."""

import math
from collections.abc import Mapping
from typing import Any

from unetprep.lengths import METERS as METERS
from unetprep.sources.source import PixelSize

ALIASES = {  # UDUNITS-2 names, which OME-Zarr uses, and abbreviations in files
    "micrometer": ("um", "\u00b5m", "\u03bcm", "\\u00b5m", "micron", "microns", "micrometers", "micrometre"),
    "nanometer": ("nm", "nanometers", "nanometre"),
    "angstrom": ("\u00c5", "\u212b", "\\u00c5", "angstroms", "a"),
    "millimeter": ("mm", "millimeters", "millimetre"),
    "centimeter": ("cm", "centimeters", "centimetre"),
    "meter": ("m", "meters", "metre"),
    "inch": ("in", "inches"),
    "picometer": ("pm",),
}
NAMES = {alias: name for name, aliases in ALIASES.items() for alias in (name, *aliases)}
DIGITS = 12  # of a converted size: 2 um are 2000 nm, not 1999.9999999999998
NO_UNITS = ("", "pixel", "pixels", "px", "none", "null")


def unit_name(text: object) -> str:
    """The name of a unit in OME-NGFF; unknown ones as they are, and "" for pixels."""
    found = str(text if text is not None else "").strip()
    return "" if found.lower() in NO_UNITS else NAMES.get(found, NAMES.get(found.lower(), found))


def size_of(value: Any) -> float | None:
    """A pixel size; None for anything but a positive number."""
    try:
        size = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return size if 0 < size < math.inf else None


def pixel_size_of(
    sizes: Mapping[str, Any], units: Mapping[str, str], *, needs_unit: bool = True
) -> tuple[PixelSize | None, str]:
    """The pixel size (z, y, x) and its unit, that of x, from sizes and units by axis.

    A size in another unit is converted, and left out if that is not possible. Without the sizes of y and x nothing is
    known, nor without a unit: writers store a size of 1 for unknown ones. Other sizes count if not `needs_unit`.
    """
    unit = unit_name(units.get("x"))
    found = {a: _converted(size_of(sizes.get(a)), unit_name(units.get(a)), unit) for a in "zyx"}
    is_known = bool(unit) or (not needs_unit and any(size not in (None, 1) for size in found.values()))
    if not is_known or found["y"] is None or found["x"] is None:
        return None, ""
    return (found["z"], found["y"], found["x"]), unit


def _converted(size: float | None, given: str, wanted: str) -> float | None:
    if size is None or given == wanted:
        return size
    if given not in METERS or wanted not in METERS:
        return None
    return float(f"{size * METERS[given] / METERS[wanted]:.{DIGITS}g}")
