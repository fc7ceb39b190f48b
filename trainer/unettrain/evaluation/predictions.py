"""Interpretation of a prediction: instance labels, probabilities or a mask.

Dtype and values decide, unless the parameter `prediction` names what the prediction holds:

| dtype | channels | values | read as |
|---|---|---|---|
| bool | 1 | | mask |
| integer | 1 | 0 and at most one other number | mask |
| integer | 1 | several numbers, each of them one object | instance labels |
| integer | 1 | several numbers that change gradually, or are like classes | refused: ambiguous |
| integer | several | | refused: a colour image |
| floating point | 1 | 0 to 1 | probability of a cell |
| floating point | several | 0 to 1, with the sum 1 at each pixel | class probabilities; class 0 is background |
| floating point | 1 | whole numbers, some above 1 | as integers of these values |
| floating point | | all other values, NaN and infinity included | refused |

- Instance labels are used as they are: a number is one object, even if it has several parts. With `dims` 2 it is one
  object in each slice.
- Probabilities: foreground is above the threshold, by default the one that `predict` recorded, or 0.5; for class
  probabilities without any, foreground is where class 0 is not the most likely one. uint8 is divided by 255 and uint16
  by 65535, with `prediction="probability"` only.
- Mask: foreground is not 0, or above the threshold if one is given.
- The objects of probabilities and masks are the connected components of the foreground. Pixels that share a side are
  connected: 4 neighbours with `dims` 2, 6 with `dims` 3.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.sources.label_values import Labels
from unettrain.errors import InvalidInput
from unettrain.evaluation.segmentation import Segmentation, components, components_of_classes
from unettrain.evaluation.value_checks import (
    check_classes,
    check_numbers,
    check_one_channel,
    examine_pixels,
    fault_of_numbers,
    has_one_number,
    is_finite,
    is_whole,
)
from unettrain.metrics.scores import THRESHOLD, foreground

SUM_TOLERANCE = 0.01  # of class probabilities, which may be float16
FULL_SCALE = {"bool": 1, "uint8": 255, "uint16": 65535}  # the integer of probability 1


def read_prediction(
    pixels: NDArray[Any],
    path: str,
    dims: int,
    kind: str = "auto",
    threshold: float | None = None,
    num_classes: int | None = None,
    recorded: float | None = None,
) -> Segmentation:
    """The objects that a prediction (c, z, y, x) proposes; see the table of this module.

    kind: one of `unettrain.evaluation.params.PREDICTIONS`. num_classes: of the labels, if they have classes; the
    classes of the pixels are then returned too, where the prediction has some. recorded: the threshold of probabilities
    for which none is given. Raises InvalidInput, naming `path`, if the values do not fit the kind, or are ambiguous for
    `auto`.
    """
    if pixels.dtype.kind not in "buif":
        raise InvalidInput(f"{path} has dtype {pixels.dtype}", allowed="integers, floating-point numbers or bool")
    if threshold is not None and not np.isfinite(threshold):
        raise InvalidInput(f"--threshold is {threshold}", allowed="a finite number")
    if kind == "classes" or (num_classes and kind in ("auto", "probability") and _has_classes(pixels)):
        return _classes(pixels, path, dims, threshold, num_classes)
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
    return _probability(pixels, path, dims, threshold, recorded)


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
    check_instances(examine_pixels(pixels, path, dims), path, pixels.dtype.name)
    return "instances"


def check_instances(found: Labels, path: str, dtype: str) -> None:
    """Raise InvalidInput for several numbers that change gradually, or are like classes."""
    if fault := fault_of_numbers(found):
        raise InvalidInput(
            f"what {path} ({dtype}) holds is ambiguous: {fault}",
            allowed="instance labels, floating-point probabilities, or a mask of 0 and one other number",
            hint=f"{_remedy(dtype, int(found.values.max()))}; --prediction classes if each number is a class",
        )


def _has_classes(pixels: NDArray[Any]) -> bool:
    return len(pixels) > 1 and pixels.dtype.kind == "f"


def _classes(
    pixels: NDArray[Any], path: str, dims: int, threshold: float | None, num_classes: int | None
) -> Segmentation:
    """The foreground of class probabilities, or the components of numbers of classes; and the classes of the pixels."""
    if num_classes is None:
        raise InvalidInput(
            "--prediction is classes, and the labels have none", hint="--num-classes N if they are classes"
        )
    if threshold is not None:
        raise InvalidInput(
            f"--threshold is {threshold:g}, but every pixel of {path} has the most likely class",
            hint="leave out --threshold",
        )
    if not _has_classes(pixels):
        check_one_channel(pixels, path)
        if not is_whole(pixels):
            raise InvalidInput(f"{path} holds fractions ({pixels.dtype})", allowed="whole numbers, one for each class")
        check_numbers(pixels, path)
        check_classes(pixels, path, num_classes)
        return components_of_classes(pixels[0].astype(np.int32), dims, "classes", "classes")
    if not _in_unit_range(pixels):
        raise _no_probabilities(pixels, path)
    _check_sum(pixels, path)
    if len(pixels) != num_classes:
        raise InvalidInput(
            f"{path} has probabilities of {len(pixels)} classes, and the labels have {num_classes} classes",
            allowed="one number of classes",
        )
    classes = pixels.argmax(axis=0)
    remark = f"foreground where class 0 of {num_classes} is not the most likely"
    found = components(classes > 0, dims, "probability", "class probabilities", remark)
    return replace(found, classes=classes)


def _remedy(dtype: str, largest: int) -> str:
    """Remedies for numbers that may be probabilities or a damaged mask."""
    top, middle = FULL_SCALE.get(dtype), largest // 2
    probability = (
        f"--prediction probability if {top} is probability 1"
        if top
        else f"if it holds probabilities, save them divided by their largest possible value (at least {largest:g})"
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
        return components(pixels[0] > threshold, dims, "mask", "mask", threshold=threshold)
    if not has_one_number(pixels):
        whole = is_whole(pixels)
        fault = fault_of_numbers(examine_pixels(pixels, path, dims)) if whole else "values are no whole numbers"
        if fault:
            middle = (float(pixels.min()) + float(pixels.max())) / 2
            raise InvalidInput(
                f"{path} is no clean mask: {fault}",
                allowed="a mask of 0 and one other number, or instance labels",
                hint=f"say what is foreground: --prediction mask --threshold {middle:g}",
            )
    return components(pixels[0] != 0, dims, "mask", "mask")


def _probability(
    pixels: NDArray[Any], path: str, dims: int, threshold: float | None, recorded: float | None
) -> Segmentation:
    if threshold is not None and not 0 <= threshold < 1:
        raise InvalidInput(f"--threshold is {threshold:g} for probabilities", allowed="0 <= threshold < 1")
    origin = () if threshold is not None or recorded is None else ("threshold as predict recorded it",)
    threshold = recorded if threshold is None else threshold
    used = THRESHOLD if threshold is None else threshold
    if pixels.dtype.kind != "f":
        check_one_channel(pixels, path)
        top = _full_scale(pixels, path)
        mask = pixels[0] > used * top
        return components(mask, dims, "probability", "probability", f"{pixels.dtype} / {top}", *origin, threshold=used)
    if not _in_unit_range(pixels):
        raise _no_probabilities(pixels, path)
    if len(pixels) == 1:
        return components(foreground(pixels, used), dims, "probability", "probability", *origin, threshold=used)
    _check_sum(pixels, path)
    rule = () if threshold is not None else ("foreground where class 0 is not the most likely",)
    remarks = (f"{len(pixels)} classes", *origin, *rule)
    mask = foreground(pixels, threshold)
    return components(mask, dims, "probability", "class probabilities", *remarks, threshold=threshold)


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
    """The integer of probability 1."""
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
