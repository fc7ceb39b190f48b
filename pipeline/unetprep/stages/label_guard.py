"""Refusal of labels that are no numbers of cells, by the rules of `unetprep lint`, where they enter a store."""

import shlex
from collections.abc import Iterator
from math import prod

import numpy as np

from unetprep.errors import InvalidInput
from unetprep.kernels.weight_formula import IGNORED, MOST_CLASSES
from unetprep.params import ImportParams, num_neighbours
from unetprep.sources import Source
from unetprep.sources.label_scan import survey
from unetprep.sources.label_values import (
    MASK_AT_ENDS,
    ClassLike,
    GradualValues,
    Labels,
    Unlabelled,
    class_like,
    gradual_values,
    unlabelled,
)

BLOCK = {2: (1, 512, 512), 3: (16, 128, 128)}  # by dims: read at once, a quarter of a megapixel
LARGEST_IMAGE_PX = 2**24  # that is tried as labels
VOLUME = 3  # dims
MASK_CLASSES = 2  # background and cell
CLASSES_IN_USE = 4  # times as many classes as there are numbers: too many to be classes
NEAREST = "save the labels again as PNG or TIFF, not JPEG, and resize them without interpolation (nearest)"


def check_values(labels: Source, image: Source | None, params: ImportParams) -> str:
    """Read labels again that look odd, and raise InvalidInput where their values are no numbers of cells.

    Returns a note on labels that are taken although they look odd; "" if there is nothing to say. What --instances ids
    says is taken. Connected components need a mask, whose values do not change gradually.
    """
    read = _read(labels, params.dims, params.ignore_label)
    found: GradualValues | ClassLike | Unlabelled | None = gradual_values(read)
    if found is None and (not params.numbers_components or read.is_noisy_mask):
        found = class_like(read)
    if found is None or (isinstance(found, ClassLike) and not found.certain):
        found = unlabelled(read) or found
    if found is None:
        return ""
    if isinstance(found, Unlabelled) and (params.numbers_components or not found.certain):
        way_out = f"if it does: --ignore-label {found.value}"
        return f"{labels.path}: {found.message}; it is taken as a cell; {way_out}"
    if params.instances == "ids":
        return f"{labels.path}: {found.message}; each number is taken as one cell, as --instances ids says"
    if isinstance(found, ClassLike) and not found.certain:
        way_out = "if each connected piece of a number is one: --instances pieces"
        return f"{labels.path}: {found.message}; each number is taken as one cell; {way_out}"
    raise _refusal(labels, image, params, read, found)


def looks_odd(stored: Source, dims: int) -> bool:
    """Whether labels of a store have values that `check_values` refuses."""
    read = _read(stored, dims, IGNORED)
    classes = class_like(read)
    return gradual_values(read) is not None or (classes is not None and classes.certain)


def _read(source: Source, dims: int, ignore_label: int | None) -> Labels:
    found = survey(source, dims, num_neighbours(dims, "auto", corners=True), ignore_label, block=BLOCK[dims])
    return Labels(found, dims, source.dtype)


def _refusal(
    source: Source,
    image: Source | None,
    params: ImportParams,
    read: Labels,
    found: GradualValues | ClassLike | Unlabelled,
) -> InvalidInput:
    has_background = not isinstance(found, ClassLike) or found.has_background
    place = found.place if isinstance(found, Unlabelled) else int(found.place[0])
    if isinstance(found, Unlabelled):
        what = f"numbers of cells and a number for something else, in {found.num_pieces} pieces"
        remedy = f"--ignore-label {found.value} leaves these pixels out"
    elif (not has_background or isinstance(found, GradualValues)) and image and _is_swapped(image, read, params):
        what = f"an image, and {image.path} like its labels"
        remedy = f"exchange them: --image {source.path} --labels {image.path}"
    elif isinstance(found, ClassLike) and not read.is_noisy_mask:
        what, remedy = "an image of classes", _remedy_for_classes(found, read, params)
    elif read.share_at_ends() >= MASK_AT_ENDS:
        top = int(read.values[-1])
        how = "saved as JPEG" if source.path.lower().endswith((".jpg", ".jpeg")) else "resized with interpolation"
        what = f"a mask of 0 and {top} that was {how}"
        remedy = (
            f"--instances components --label-threshold {top // 2} makes each connected piece above {top // 2} a cell;"
            f" better, {NEAREST}"
        )
    else:
        what = "an image, or like labels that were interpolated"
        remedy = (
            f"check what is given as image and what as labels; {NEAREST}; for a grey mask: --instances components"
            " --label-threshold T makes each connected piece above T a cell"
        )
    lint = shlex.join(["unetprep", "lint", source.path, *_reading_options(params)])
    return InvalidInput(
        f"{source.path} looks like {what}: {found.message}; the first at {_place(read, place)}",
        allowed="labels: 0 for background and one number for each cell",
        hint=f"{remedy}; {lint} shows where; --instances ids takes every value as a cell",
    )


def _reading_options(params: ImportParams) -> Iterator[str]:
    """The options with which `unetprep lint` reads labels as the import does."""
    for name in ("axes", "label_axes", "level", "series", "label_channel", "dims", "ignore_label"):
        value = getattr(params, name)
        if value != getattr(ImportParams(), name):
            yield from (f"--{name.replace('_', '-')}", str(value))


def _remedy_for_classes(found: ClassLike, read: Labels, params: ImportParams) -> str:
    ignored = f"--ignore-label {found.unlabelled} " if found.unlabelled is not None else ""
    num_classes = int(read.values[read.values != found.unlabelled].max()) + 1
    keep = (
        ""
        if num_classes <= MASK_CLASSES or num_classes > min(MOST_CLASSES, CLASSES_IN_USE * len(read.values))
        else f"; {ignored}--num-classes {num_classes} keeps the classes"
    )
    volume = "; if the slices are one volume: --dims 3" if params.dims < VOLUME and read.survey.shape[0] > 1 else ""
    pieces = "each connected piece of the mask a cell, --instances pieces each of one number"
    return f"{ignored}--instances components makes {pieces}{keep}{volume}"


def _place(labels: Labels, flat: int) -> str:
    place = tuple(map(int, np.unravel_index(flat, labels.survey.shape)))
    return f"(z, y, x) = {place}" if labels.survey.shape[0] > 1 else f"(y, x) = {place[1:]}"


def _is_swapped(image: Source, labels: Labels, params: ImportParams) -> bool:
    """Whether an image that is not too large has the values of labels, and these have not those of a mask."""
    if image.shape[0] > 1 or np.dtype(image.dtype).kind not in "ui":
        return False
    if prod(image.shape) > LARGEST_IMAGE_PX or labels.share_at_ends() >= MASK_AT_ENDS:
        return False
    read = _read(image, params.dims, None)
    is_background = int(read.survey.components.size_px.sum()) < prod(read.survey.shape)
    return is_background and len(read.values) > 1 and not gradual_values(read) and not class_like(read)
