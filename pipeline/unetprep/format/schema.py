"""Types of the unetprep attributes in a store, after the table of attributes in pipeline/LAYOUT.md."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from unetprep.errors import InvalidInput
from unetprep.storage.paths import ALLOWED_NAME, safe_name

SPLITS = ("train", "val", "test")
LARGEST_SIZE, LARGEST_SEED = 2**62, 2**64 - 1


class Check(NamedTuple):
    """The allowed values of an attribute, as a predicate and in words."""

    accepts: Callable[[Any], bool]
    allowed: str


def is_size(value: Any) -> bool:
    """Whether a JSON value is an integer from 0 to LARGEST_SIZE."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_SIZE


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_list_of(value: Any, accepts: Callable[[Any], bool]) -> bool:
    """Whether a JSON value is a list of elements that `accepts` accepts."""
    return isinstance(value, list) and all(map(accepts, value))


def is_mapping_to(value: Any, accepts: Callable[[Any], bool]) -> bool:
    """Whether a JSON value is an object with values that `accepts` accepts."""
    return isinstance(value, dict) and all(map(accepts, value.values()))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def image_name(value: object, where: str) -> str:
    """Return `value` if it is a valid image name; else raise InvalidInput, whose message begins with `where`."""
    name = safe_name(value, where)
    if name == "zarr.json" or name.startswith(".partial-"):
        raise InvalidInput(f"{where}: {name!r} cannot be the name of an image: the store uses it for its own files")
    return name


def _is_name(value: Any) -> bool:
    try:
        return bool(image_name(value, ""))
    except InvalidInput:
        return False


def _are_names(value: Any) -> bool:
    return is_list_of(value, _is_name) and len(set(value)) == len(value)


def _is_table(value: Any) -> bool:
    """Whether a JSON value is the table of the images of a stack: columns of one length."""
    columns: dict[str, Callable[[Any], bool]] = {
        "names": _is_name,
        "sizes": lambda v: is_list_of(v, lambda n: is_size(n) and n > 0) and len(v) == 2,
        "split": lambda v: v is None or v in SPLITS,
        "source": lambda v: is_list_of(v, _is_text),
    }
    optional = dict.fromkeys(("intensity", "percentiles"), lambda v: v is None or _are_two_numbers(v))
    if not isinstance(value, dict) or not set(columns) <= set(value) <= {*columns, *optional}:
        return False
    if not all(is_list_of(value[key], accepts) for key, accepts in (columns | optional).items() if key in value):
        return False
    return len(set(map(len, value.values()))) == 1 and len(set(value["names"])) == len(value["names"])


def _are_two_numbers(value: Any) -> bool:
    return is_list_of(value, is_number) and len(value) == 2


def _is_size_of_pixel(value: Any) -> bool:
    """Whether a JSON value is the size of a pixel along one axis, or null for an unknown size."""
    return value is None or (is_number(value) and value > 0)


def _are_known_sizes(value: Any) -> bool:
    return is_list_of(value, lambda size: is_number(size) and size > 0)


def _is_spacing(value: Any) -> bool:
    """Whether a JSON value is a pixel size [z, y, x], with null for an unknown size."""
    return is_list_of(value, _is_size_of_pixel) and len(value) == 3


def _is_box(value: Any) -> bool:
    """Whether a JSON value is a box of pixels as text: "0:1 20:40 0:300"."""
    parts = [part.split(":") for part in value.split()] if isinstance(value, str) else []
    return len(parts) == 3 and all(len(ends) == 2 and all(end.isdecimal() for end in ends) for ends in parts)


def _is_journal(value: Any) -> bool:
    """Whether a JSON value is the journal of an unfinished relabel, as `relabeling.relabeler.Journal` writes it."""
    if not isinstance(value, dict):
        return False
    fields = {
        "fingerprints": lambda v: is_mapping_to(v, _is_text),
        "changed": lambda v: is_mapping_to(v, lambda boxes: is_list_of(boxes, _is_box)),
        "class_weights": lambda v: v is None or is_list_of(v, is_number),
        **dict.fromkeys(("balanced", "everything", "voided"), _is_flag),
    }
    return set(value) == set(fields) and all(accepts(value[key]) for key, accepts in fields.items())


def _is_optional_integer(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_SEED


def _are_parameters(value: Any) -> bool:
    """Whether a JSON value is an object whose values have the types of PARAMETERS, where listed there.

    The import records [null, y, x] as the pixel size of independent slices; weights require known sizes.
    """
    if not isinstance(value, dict) or ("formula" in value and not _are_known_sizes(value.get("spacing", []))):
        return False
    return all(PARAMETERS[key](v) for key, v in value.items() if key in PARAMETERS)


PARAMETERS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("tile_px", "margin_px", "depth", "fields", "num_classes"), is_size),
    "seed": _is_seed,
    **dict.fromkeys(("connectivity", "ignore_label", "label_threshold", "stride_px", "random"), _is_optional_integer),
    **dict.fromkeys(("formula", "border_on", "separate", "engine", "interpolation", "codec"), _is_text),
    **dict.fromkeys(("sigma", "w0", "sigma_px", "rim_sigma", "background_weight", "max_folding"), is_number),
    "class_weights": lambda v: is_list_of(v, is_number),
    "spacing": lambda v: is_list_of(v, _is_size_of_pixel),
    "grid": lambda v: is_list_of(v, is_size),
    "instances": lambda v: isinstance(v, str | dict),
    "index_only": lambda v: isinstance(v, dict),
}

_SIZE = Check(is_size, "an integer from 0")
_TEXT = Check(_is_text, "text")
_TWO_NUMBERS = Check(_are_two_numbers, "two finite numbers: [low, high]")

CHECKS: dict[str, Check] = {
    "format_version": _SIZE,
    "software": _TEXT,
    "checksum": _TEXT,
    "names": Check(_are_names, f"a list of names, each once; of each: {ALLOWED_NAME}"),
    "count": _SIZE,
    "images": Check(_is_table, "the table of the images of a stack: names, sizes, split, source, each of one length"),
    "digests": Check(lambda v: is_list_of(v, _is_text), "a list of digests"),
    **dict.fromkeys(("val_fraction", "test_fraction"), Check(is_number, "a number")),
    "seed": Check(_is_seed, "an integer from 0"),
    "relabelling": Check(_is_journal, "the journal of unetprep relabel"),
    "dims": Check(lambda v: is_size(v) and v in (2, 3), "2 or 3"),
    "split": Check(lambda v: v in SPLITS, ", ".join(SPLITS)),
    "intensity": _TWO_NUMBERS,
    "intensity_rule": _TEXT,
    "percentiles": _TWO_NUMBERS,
    "training_intensity": Check(lambda v: v is None or is_mapping_to(v, _are_two_numbers), "an object of number pairs"),
    "training_pixel_um": Check(lambda v: v is None or _are_two_numbers(v), "two numbers, or null"),
    "spacing": Check(_is_spacing, "three positive, finite numbers or nulls: [z, y, x]"),
    "unit": _TEXT,
    "source": Check(lambda v: is_list_of(v, _is_text), "a list of file names"),
    "complete": Check(_is_flag, "true or false"),
    "fingerprint": _TEXT,
    "stage": _TEXT,
    "kernel_version": _SIZE,
    "parameters": Check(_are_parameters, "a JSON object with the parameters of the stage, in their types"),
    "inputs": Check(lambda v: is_mapping_to(v, _is_text), "an object that gives a fingerprint for each array"),
    "largest_label": _SIZE,
    "interpolation": _TEXT,
    **dict.fromkeys(("tile", "output", "margin", "depth", "num_classes"), _SIZE),
}
