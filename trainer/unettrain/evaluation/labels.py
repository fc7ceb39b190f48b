"""Interpretation of labels: integers, 0 for background and one number for each cell.

A binary mask of several components, and values that change gradually, are refused. "Gradually" is defined by the rule
`interpolated` of `unetprep lint`.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.sources.label_values import Labels
from unettrain.errors import InvalidInput
from unettrain.evaluation.segmentation import CONNECTIVITY, Segmentation, components_of_classes
from unettrain.evaluation.value_checks import (
    check_classes,
    check_numbers,
    examine_pixels,
    fault_of_numbers,
    num_parts,
    number_of_unlabelled,
)
from unettrain.metrics.components import label_by_value, label_components

IGNORE_HINT = "--ignore-label {} if it marks pixels that are neither cell nor background"


def check_label_dtype(path: str, num_channels: int, dtype: np.dtype[Any]) -> None:
    """Raise InvalidInput for anything but one channel of integers or bool."""
    if num_channels != 1 or dtype.kind not in "bui":
        raise InvalidInput(
            f"{path} holds no labels: {num_channels} channels of {dtype}",
            allowed="integers in a single channel: 0 for background and one number for each cell",
            hint="save the labels as integers, not as colours or floating-point numbers",
        )


def check_ignore_label(ignore_label: int | None) -> None:
    """Raise InvalidInput for 0."""
    if ignore_label == 0:
        raise InvalidInput("--ignore-label is 0, which is background", allowed="any other number that the labels hold")


def read_labels(
    pixels: NDArray[Any],
    path: str,
    dims: int,
    instances: str = "auto",
    ignore_label: int | None = None,
    num_classes: int | None = None,
) -> Segmentation:
    """The true cells in labels (c, z, y, x). Pixels with the value `ignore_label` become -1.

    instances: `auto` and `ids` take each number as one cell, `auto` only after the checks of this module; `components`
    takes each connected component of the pixels that are not 0, `pieces` those of pixels of one number. With
    `num_classes` the labels are classes, and each connected component of a class is a cell. Raises InvalidInput, naming
    `path`, for other values.
    """
    check_label_dtype(path, len(pixels), pixels.dtype)
    check_ignore_label(ignore_label)
    ignored = np.zeros(pixels.shape, bool) if ignore_label is None else pixels == ignore_label
    cells = np.where(ignored, 0, pixels)
    check_numbers(cells, path, hint=IGNORE_HINT)
    if num_classes is not None:
        return _of_classes(cells[0], ignored[0], path, dims, num_classes)
    if instances != "ids":
        check_cells(examine_pixels(cells, path, dims), path, instances)
    num = int(ignored.sum())
    remarks = (f"{num} pixels ignored",) if num else ()
    if instances == "components":
        objects, title = label_components(cells[0], CONNECTIVITY[dims]), "connected components of a mask"
    elif instances == "pieces":
        objects, title = label_by_value(cells[0], CONNECTIVITY[dims]), "connected pieces of one number"
    else:
        objects, title = cells[0].astype(np.int32), "instance labels"
    return Segmentation(np.where(ignored[0], -1, objects), "instances", title, remarks)


def _of_classes(
    classes: NDArray[Any], ignored: NDArray[np.bool_], path: str, dims: int, num_classes: int
) -> Segmentation:
    check_classes(classes, path, num_classes)
    num = int(ignored.sum())
    remarks = (f"{num_classes} classes",) + ((f"{num} pixels ignored",) if num else ())
    found = components_of_classes(classes, dims, "classes", "connected components of classes", *remarks)
    return replace(found, objects=np.where(ignored, -1, found.objects))


def check_cells(found: Labels, path: str, instances: str) -> None:
    """Raise InvalidInput for a mask, and for values that change gradually or are like classes; see `read_labels`."""
    if len(found.values) < 2:
        parts = num_parts(found)
        if instances == "auto" and parts.max(initial=1) > 1:
            raise InvalidInput(
                f"{path} holds a binary mask: {parts.sum()} separate parts of the only number {found.values.max()}",
                allowed="labels that give each cell a number of its own",
                hint="--instances components if each part is a cell (cells that touch become one);"
                " --instances ids if the parts are one cell",
            )
    elif fault := fault_of_numbers(found, may_be_classes=instances == "pieces"):
        raise InvalidInput(
            f"{path} holds neither instance labels nor a clean mask: {fault}",
            allowed="labels that give each cell a number of its own, or a mask of 0 and one other number",
            hint="resize labels without interpolation (nearest), and save them as PNG or TIFF, not as JPEG;"
            " classes need --num-classes N, or --instances components if each part is a cell,"
            " pieces if each part of one number is; --instances ids if each number is one cell after all",
        )
    elif instances == "auto" and (number := number_of_unlabelled(found)) is not None:
        raise InvalidInput(
            f"{path} holds {number}, which seems to mark pixels without a label",
            allowed="labels that give each cell a number of its own",
            hint=f"--ignore-label {number} leaves these pixels out; --instances ids if it is a cell after all",
        )
