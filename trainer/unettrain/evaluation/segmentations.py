"""Interpretation of predictions and labels for scoring: instance labels, probabilities or a mask.

A prediction is interpreted by its dtype and values, unless `--prediction` names what it holds:

| dtype | channels | values | read as |
|---|---|---|---|
| bool | 1 | | mask |
| integer | 1 | 0 and at most one other number | mask |
| integer | 1 | several numbers, each of them one object | instance labels |
| integer | 1 | several numbers that change gradually, or most of which have several parts | refused: ambiguous |
| integer | several | | refused: a colour image |
| floating point | 1 | 0 to 1 | probability of a cell |
| floating point | several | 0 to 1, with the sum 1 at each pixel | class probabilities; class 0 is background |
| floating point | 1 | whole numbers, some above 1 | as integers of these values |
| floating point | | all else, NaN and infinity included | refused |

- Instance labels are used as they are: a number is one object, even if it has several parts. With `dims` 2 it is one
  object in each slice.
- Probabilities: foreground is what is above the threshold, by default 0.5; of class probabilities by default where
  class 0 is not the most likely one. uint8 is divided by 255 and uint16 by 65535, on `--prediction probability` only.
- Mask: foreground is what is not 0, or what is above the threshold if one is given.
- The objects of probabilities and masks are the connected components of the foreground. Pixels that share a side are
  connected: 4 neighbours with `dims` 2, 6 with `dims` 3.

Labels (the truth) are integers: 0 is background, every other number is one cell. A binary mask of several parts, and
values that change gradually, are refused. "Gradually" is the rule `interpolated` of `unetprep lint`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unettrain.errors import InvalidInput
from unettrain.evaluation.value_checks import (
    check_numbers,
    check_one_channel,
    fault_of_numbers,
    has_one_number,
    is_finite,
    is_whole,
    num_parts,
)
from unettrain.metrics import label_components
from unettrain.metrics.scores import THRESHOLD, foreground

CONNECTIVITY = {2: 4, 3: 6}  # by dims
SUM_TOLERANCE = 0.01  # of class probabilities, which may be float16
FULL_SCALE = {"bool": 1, "uint8": 255, "uint16": 65535}  # what stands for probability 1


@dataclass(frozen=True)
class Segmentation:
    """Objects (z, y, x), 0 = background and < 0 = ignored, and what they were read as."""

    objects: NDArray[np.integer]
    kind: str  # "instances", "probability" or "mask"
    title: str  # of the kind, for people
    remarks: tuple[str, ...] = ()
    threshold: float | None = None

    def describe(self, num_objects: int, noun: str) -> str:
        """For example "instance labels (36 objects)" or "probability (foreground > 0.5, 36 objects)"."""
        limit = () if self.threshold is None else (f"foreground > {self.threshold:g}",)
        count = f"{num_objects} {noun}" + "s" * (num_objects != 1)
        return f"{self.title} ({', '.join((*self.remarks, *limit, count))})"


# -- predictions ------------------------------------------------------------------------------------------------------


def read_prediction(
    pixels: NDArray[Any], path: str, dims: int, kind: str = "auto", threshold: float | None = None
) -> Segmentation:
    """The objects that a prediction (c, z, y, x) proposes; the table above says how it is interpreted.

    kind: one of `unetcli.options.PREDICTIONS`. Raises InvalidInput, naming `path`, if the values do not fit the kind,
    or if no kind is certain enough for `auto`.
    """
    if pixels.dtype.kind not in "buif":
        raise InvalidInput(f"{path} has dtype {pixels.dtype}", allowed="integers, floating-point numbers or bool")
    if threshold is not None and not np.isfinite(threshold):
        raise InvalidInput(f"--threshold is {threshold}", allowed="a finite number")
    found = _find_kind(pixels, path, dims) if kind == "auto" else kind
    if threshold is not None and (found == "instances" or (kind == "auto" and found == "mask")):
        raise InvalidInput(
            f"--threshold is {threshold:g}, but {path} is read as {'a mask' if found == 'mask' else 'instance labels'}",
            hint="leave out --threshold, or say what the prediction holds with --prediction",
        )
    if found == "instances":
        return _instances(pixels, path)
    if found == "mask":
        return _mask(pixels, path, dims, threshold)
    return _probability(pixels, path, dims, threshold)


def _find_kind(pixels: NDArray[Any], path: str, dims: int) -> str:
    if pixels.dtype.kind == "f":
        if _in_unit_range(pixels):
            return "probability"
        if len(pixels) > 1 or not is_whole(pixels):
            raise _no_probabilities(pixels, path)
    check_one_channel(pixels, path)
    check_numbers(pixels, path)
    if has_one_number(pixels):
        return "mask"
    if fault := fault_of_numbers(pixels, path, dims):
        raise InvalidInput(
            f"what {path} ({pixels.dtype}) holds is ambiguous: {fault}",
            allowed="instance labels, floating-point probabilities, or a mask of 0 and one other number",
            hint=_remedy(pixels),
        )
    return "instances"


def _remedy(pixels: NDArray[Any]) -> str:
    """What the user can do with numbers that may be probabilities or a damaged mask."""
    top, middle = FULL_SCALE.get(pixels.dtype.name), int(pixels.max()) // 2
    probability = (
        f"--prediction probability if {top} is probability 1"
        if top
        else f"if it holds probabilities, save them divided by their largest possible value (at least {pixels.max():g})"
    )
    return (
        f"{probability}; --prediction mask --threshold {middle} if it is a mask that was resized or saved as JPEG;"
        " --prediction instances if each number is one object after all"
    )


def _instances(pixels: NDArray[Any], path: str) -> Segmentation:
    check_one_channel(pixels, path)
    if not is_whole(pixels):
        raise InvalidInput(f"{path} holds fractions ({pixels.dtype})", allowed="whole numbers, one for each object")
    check_numbers(pixels, path)
    remarks = (f"stored as {pixels.dtype}",) if pixels.dtype.kind == "f" else ()
    return Segmentation(pixels[0].astype(np.int32), "instances", "instance labels", remarks)


def _mask(pixels: NDArray[Any], path: str, dims: int, threshold: float | None) -> Segmentation:
    check_one_channel(pixels, path)
    if not is_finite(pixels):
        raise InvalidInput(f"{path} holds NaN or infinity", allowed="finite numbers")
    if threshold is not None:
        return _components(pixels[0] > threshold, dims, "mask", "mask", threshold=threshold)
    if not has_one_number(pixels):
        whole = is_whole(pixels)
        fault = fault_of_numbers(pixels, path, dims) if whole else "values are no whole numbers"
        if fault:
            middle = (float(pixels.min()) + float(pixels.max())) / 2
            raise InvalidInput(
                f"{path} is no clean mask: {fault}",
                allowed="a mask of 0 and one other number, or instance labels",
                hint=f"say what is foreground: --prediction mask --threshold {middle:g}",
            )
    return _components(pixels[0] != 0, dims, "mask", "mask")


def _probability(pixels: NDArray[Any], path: str, dims: int, threshold: float | None) -> Segmentation:
    if threshold is not None and not 0 <= threshold < 1:
        raise InvalidInput(f"--threshold is {threshold:g} for probabilities", allowed="0 <= threshold < 1")
    used = THRESHOLD if threshold is None else threshold
    if pixels.dtype.kind != "f":
        check_one_channel(pixels, path)
        top = _full_scale(pixels, path)
        mask = pixels[0] > used * top
        return _components(mask, dims, "probability", "probability", f"{pixels.dtype} / {top}", threshold=used)
    if not _in_unit_range(pixels):
        raise _no_probabilities(pixels, path)
    if len(pixels) == 1:
        return _components(foreground(pixels, used), dims, "probability", "probability", threshold=used)
    _check_sum(pixels, path)
    rule = () if threshold is not None else ("foreground where class 0 is not the most likely",)
    remarks = (f"{len(pixels)} classes", *rule)
    mask = foreground(pixels, threshold)
    return _components(mask, dims, "probability", "class probabilities", *remarks, threshold=threshold)


def _components(
    mask: NDArray[np.bool_], dims: int, kind: str, title: str, *remarks: str, threshold: float | None = None
) -> Segmentation:
    return Segmentation(label_components(mask, CONNECTIVITY[dims]), kind, title, remarks, threshold)


def _in_unit_range(pixels: NDArray[Any]) -> bool:
    return bool(pixels.min() >= 0 and pixels.max() <= 1)  # false if any is NaN


def _no_probabilities(pixels: NDArray[Any], path: str) -> InvalidInput:
    num = int(pixels.size - np.isfinite(pixels).sum())
    what = f"{num} values that are NaN or infinite" if num else f"values from {pixels.min():g} to {pixels.max():g}"
    return InvalidInput(
        f"{path} ({pixels.dtype}, {len(pixels)} channels) holds {what}",
        allowed="probabilities, 0 to 1; or instance labels, whole numbers in a single channel",
        hint=""
        if num
        else "if these are scores (logits), apply a sigmoid or softmax first;"
        " if it is a mask: --prediction mask --threshold T",
    )


def _check_sum(pixels: NDArray[Any], path: str) -> None:
    sums = pixels.sum(axis=0, dtype=np.float64)
    if np.abs(sums - 1).max() > SUM_TOLERANCE:
        raise InvalidInput(
            f"{path} has {len(pixels)} channels whose sum ranges from {sums.min():g} to {sums.max():g}",
            allowed="class probabilities, with the sum 1 at each pixel",
            hint="save the probability of a cell as a single channel, or apply softmax to the channels",
        )


def _full_scale(pixels: NDArray[Any], path: str) -> int:
    """The integer that stands for probability 1."""
    top, largest = FULL_SCALE.get(pixels.dtype.name), int(pixels.max())
    if top is None or int(pixels.min()) < 0:
        raise InvalidInput(
            f"{path} holds probabilities of {pixels.dtype}",
            allowed="floating-point numbers from 0 to 1, uint8 (0 to 255) or uint16 (0 to 65535)",
        )
    if (largest == 1 and top > 1) or (0 < largest <= 255 < top):
        raise InvalidInput(
            f"{path} holds probabilities of {pixels.dtype}, none above {largest} / {top}",
            allowed=f"values that use the range from 0 to {top}",
            hint="--prediction mask if 1 is a cell" if largest == 1 else "save them as uint8 if 255 is probability 1",
        )
    return top


# -- labels -----------------------------------------------------------------------------------------------------------


def check_label_dtype(path: str, num_channels: int, dtype: np.dtype[Any]) -> None:
    """Raise InvalidInput for anything but one channel of integers or bool."""
    if num_channels != 1 or dtype.kind not in "bui":
        raise InvalidInput(
            f"{path} holds no labels: {num_channels} channels of {dtype}",
            allowed="integers in a single channel: 0 for background and one number for each cell",
            hint="save the labels as integers, not as colours or floating-point numbers",
        )


def read_labels(
    pixels: NDArray[Any], path: str, dims: int, instances: str = "auto", ignore_label: int | None = None
) -> Segmentation:
    """The true cells in labels (c, z, y, x). Pixels with the value `ignore_label` become -1.

    instances: `auto` and `ids` take each number as one cell, `auto` only after the checks named above; `components`
    takes each connected component of what is not 0. Raises InvalidInput, naming `path`, for what holds no labels.
    """
    check_label_dtype(path, len(pixels), pixels.dtype)
    if ignore_label == 0:
        raise InvalidInput("--ignore-label is 0, which is background", allowed="any other number that the labels hold")
    ignored = np.zeros(pixels.shape, bool) if ignore_label is None else pixels == ignore_label
    cells = np.where(ignored, 0, pixels)
    check_numbers(cells, path, hint="--ignore-label {} if it marks pixels that are neither cell nor background")
    if instances != "ids":
        _check_labels(cells, path, dims, instances)
    num = int(ignored.sum())
    remarks = (f"{num} pixels ignored",) if num else ()
    if instances == "components":
        objects, title = label_components(cells[0], CONNECTIVITY[dims]), "connected components of a mask"
    else:
        objects, title = cells[0].astype(np.int32), "instance labels"
    return Segmentation(np.where(ignored[0], -1, objects), "instances", title, remarks)


def _check_labels(cells: NDArray[Any], path: str, dims: int, instances: str) -> None:
    if has_one_number(cells):
        parts = num_parts(cells, path, dims)
        if instances == "auto" and parts.max(initial=1) > 1:
            raise InvalidInput(
                f"{path} holds a binary mask: {parts.sum()} separate parts of the only number {int(cells.max())}",
                allowed="labels that give each cell a number of its own",
                hint="--instances components if each part is a cell (cells that touch become one);"
                " --instances ids if the parts are one cell",
            )
    elif fault := fault_of_numbers(cells, path, dims):
        raise InvalidInput(
            f"{path} holds neither instance labels nor a clean mask: {fault}",
            allowed="labels that give each cell a number of its own, or a mask of 0 and one other number",
            hint="resize labels without interpolation (nearest), and save them as PNG or TIFF, not as JPEG;"
            " --instances ids if each number is one cell after all",
        )
