"""Pixel sizes along the axes of an image, and the units of OME-NGFF 0.5 (section "axes")."""

from typing import Any

from unetprep.errors import InvalidInput
from unetprep.kernels.weight_formula import LARGEST_ANISOTROPY
from unetprep.parameter import as_text

SMALLEST_PIXEL, LARGEST_PIXEL = 1e-12, 1e12  # in any unit
LARGE_PREFIXES = ("yotta", "zetta", "exa", "peta", "tera", "giga", "mega", "kilo", "hecto")
SMALL_PREFIXES = ("deci", "centi", "milli", "micro", "nano", "pico", "femto", "atto", "zepto", "yocto")
LENGTH_UNITS = (
    *(f"{prefix}meter" for prefix in (*LARGE_PREFIXES, "", *SMALL_PREFIXES)),
    *("angstrom", "inch", "foot", "yard", "mile", "parsec"),
)


def check_spacing(sizes: Any) -> None:
    """Raise InvalidInput unless `sizes` are two or three pixel sizes, (y, x) or (z, y, x)."""
    is_tuple = isinstance(sizes, tuple) and len(sizes) in (2, 3)
    if not is_tuple or not all(isinstance(n, float) and SMALLEST_PIXEL <= n <= LARGEST_PIXEL for n in sizes):
        raise InvalidInput(
            f"spacing is {as_text(sizes)}",
            allowed='two or three numbers over 0, "y,x" or "z,y,x", such as 4,1,1;'
            f" each {SMALLEST_PIXEL:g} to {LARGEST_PIXEL:g}",
        )
    if max(sizes) > LARGEST_ANISOTROPY * min(sizes):
        raise InvalidInput(
            f"spacing is {as_text(sizes)}: pixels {max(sizes) / min(sizes):g} times as long along one axis as along"
            " another",
            allowed=f"at most {LARGEST_ANISOTROPY} times",
            hint="give all sizes in one unit",
        )
