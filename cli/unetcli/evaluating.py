"""Implementation of `unettrain evaluate`: from a prediction file and a label file to scores."""

from pathlib import Path
from typing import Any

import numpy as np

from unetprep.sources import Source, open_source
from unetprep.sources.urls import is_url, local_path, names_in
from unettrain.errors import InvalidInput
from unettrain.scoring import foreground, score

OWN_LABELS = "labels/instances"  # of an image in a store


def evaluate_files(prediction: str, labels: str, dims: int = 2) -> dict[str, Any]:
    """The scores of one image. Raises InvalidInput, naming both files and shapes, if their sizes differ."""
    truth = open_source(_own_labels(labels) or labels)
    proposed = open_source(prediction)
    if truth.shape[0] != 1 or np.dtype(truth.dtype).kind not in "ui":
        raise InvalidInput(f"{labels} holds no labels: {truth.shape[0]} channels of {truth.dtype}", allowed="integers")
    if proposed.shape[1:] != truth.shape[1:]:
        raise InvalidInput(
            f"{prediction} and {labels} differ in size: {proposed.shape[1:]} and {truth.shape[1:]} pixels (z, y, x)"
        )
    connectivity = {2: 4, 3: 6}[dims]
    return score(foreground(_whole(proposed)), _whole(truth)[0], connectivity).as_dict()


def _own_labels(image: str) -> str | None:
    """Where the labels of STORE/images/NAME lie, in a folder or behind a URL; None for anything else."""
    own = f"{local_path(image)}/{OWN_LABELS}"
    return own if (names_in(own) if is_url(own) else Path(own).exists()) else None


def _whole(source: Source) -> Any:
    return source.read(tuple(slice(0, n) for n in source.shape))


def as_text(scores: dict[str, Any]) -> str:
    """One image's scores in a few lines."""
    ap = "  ".join(f"{t} {value:.3f}" for t, value in scores["ap"].items())
    return (
        f"foreground  IoU {scores['iou']:.4f}  Dice {scores['dice']:.4f}"
        f"  precision {scores['precision']:.4f}  recall {scores['recall']:.4f}\n"
        f"cells       {scores['found']} of {scores['cells']} found at IoU 0.5, {scores['proposed']} proposed\n"
        f"AP          mean {scores['mean_ap']:.3f};  at IoU {ap}"
    )


def as_table(scores: dict[str, Any]) -> str:
    """The scores of several methods, a line each."""
    lines = [f"{'':<10}" + "".join(f"{h:>9}" for h in ("IoU", "AP 0.5", "AP 0.7", "AP 0.9", "mean AP"))]
    for name in ("trained", "untrained", "otsu"):
        found = scores[name]
        values = [found["iou"], *(found["ap"][t] for t in ("0.50", "0.70", "0.90")), found["mean_ap"]]
        lines.append(f"{name:<10}" + "".join(f"{v:>9.3f}" for v in values))
    return "\n".join(lines)
