"""The weight map kernel against one `edt.edt` pass over the same image, and against one transform for each cell.

    python -m benchmarks.weights.kernel        writes kernel.json and growth.png beside this file

Everything runs on one thread, after compilation, in turn with what it is compared with.
"""

from functools import partial
from pathlib import Path
from typing import Any

import cv2
import edt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

import unetprep
from benchmarks.measure import machine, ratio, seconds, write
from unetprep.kernels.separate import separate_instances
from unetprep.kernels.weight_formula import make_formula
from unetprep.kernels.weights import weigh_block
from unetprep.sources.cells import Cells

HERE = Path(__file__).parent
DENSE, SPARSE = 0.7, 0.25  # share of the image that the cells cover
IMAGES = [(512, 50), (512, 200), (2048, 50), (2048, 5000), (8192, 50), (8192, 5000), (8192, 50000)]
STACKS = [50, 200]
GROWTH = [5, 20, 50, 100, 200, 400]
PAPER = make_formula("paper", {})


def against_one_pass(cells: Cells, spacing: tuple[float, ...], pairs: int) -> dict[str, Any]:
    """Weights from labels and target, and the whole weight map from labels, each in units of one `edt.edt` pass."""
    labels = cells.window((0,) * len(cells.shape), cells.shape)
    block = labels.reshape((-1, *labels.shape[-2:]))
    target, unsigned = separate_instances(block, len(spacing)), labels.astype(np.uint32)

    def one_pass() -> None:
        edt.edt(unsigned, anisotropy=spacing, black_border=False, parallel=1)

    return {
        "shape": list(cells.shape),
        "cells": cells.number,
        "covered": round(float((labels > 0).mean()), 3),
        "weights": ratio(lambda: weigh_block(block, target, (0.7, 2.0), PAPER, spacing), one_pass, pairs),
        "with_separation_and_counts": ratio(lambda: unetprep.weight_map(labels, spacing=spacing), one_pass, pairs),
    }


def stack_weights(labels: NDArray[np.int32], transform: Any) -> NDArray[np.float64]:
    """Eq. 2 as the implementations in the open do it: one transform of the whole image for each cell, then a sort."""
    ids = np.unique(labels)[1:]
    distances = np.stack([transform(labels != i) for i in ids])
    d1, d2 = np.partition(distances, 1, axis=0)[:2]
    return np.asarray(10 * np.exp(-((d1 + d2) ** 2) / 50) * (labels == 0))


def by_opencv(outside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """OpenCV's exact transform."""
    return np.asarray(cv2.distanceTransform(outside.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


TRANSFORMS = {
    "scipy": ndimage.distance_transform_edt,
    "opencv": by_opencv,
    "edt": lambda outside: edt.edt(outside, black_border=False, parallel=1),
}


def against_stacks(number: int) -> dict[str, Any]:
    """How many times longer one transform for each cell takes."""
    labels = Cells((512, 512), number, DENSE).window((0, 0), (512, 512))
    results = {}
    for name, transform in TRANSFORMS.items():
        found = stack_weights(labels, transform)
        ours = unetprep.weight_map(labels, class_weights=(0, 0), separate="none")
        np.testing.assert_allclose(ours, found, atol=1e-4)  # the same computation, within what they round
        timed = ratio(partial(stack_weights, labels, transform), partial(unetprep.weight_map, labels), 2)
        results[name] = {"times_longer": timed["ratio"], **timed}
    return {"shape": [512, 512], "cells": number, **results}


def growth() -> list[dict[str, float]]:
    """Seconds for one 512 x 512 image against the number of its cells."""
    rows = []
    for number in GROWTH:
        labels = Cells((512, 512), number, 0.5).window((0, 0), (512, 512))
        row = {"cells": number, "ours": min(seconds(partial(unetprep.weight_map, labels)) for _ in range(15))}
        for name, transform in TRANSFORMS.items():
            row[name] = seconds(partial(stack_weights, labels, transform))
        rows.append({name: round(value, 6) for name, value in row.items()})
    return rows


def draw(rows: list[dict[str, float]], path: Path) -> None:
    """The growth of time with the number of cells, both axes logarithmic."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    cells = [row["cells"] for row in rows]
    names = {
        "scipy": "a SciPy transform a cell",
        "opencv": "an OpenCV transform a cell",
        "edt": "an edt transform a cell",
    }
    for name, colour in zip(names, ("#b5651d", "#7a5195", "#5f7a61"), strict=True):
        axes.plot(cells, [row[name] for row in rows], "o-", color=colour, label=names[name])
    axes.plot(cells, [row["ours"] for row in rows], "o-", color="#0b6e99", linewidth=2.5, label="unetprep.weight_map")
    axes.set(xscale="log", yscale="log", xlabel="cells on 512 x 512 pixels", ylabel="seconds, one thread")
    axes.set_title("One weight map", loc="left")
    axes.grid(visible=True, which="major", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150, metadata={"Software": None})


def main() -> None:
    """Measure all of it."""
    cv2.setNumThreads(1)
    results: dict[str, Any] = {
        "machine": machine("numpy", "numba", "scipy", "edt", "opencv-python-headless"),
        "one_pass_2d": [
            against_one_pass(Cells((side, side), number, share), (1.0, 1.0), 3 if side > 4096 else 7)
            for side, number in IMAGES
            for share in (DENSE, SPARSE)
        ],
        "one_pass_3d": [
            against_one_pass(Cells((256, 256, 256), number, share, flat=4.0), (4.0, 1.0, 1.0), 3)
            for number, share in ((2000, DENSE), (300, SPARSE))
        ],
        "one_transform_a_cell": [against_stacks(number) for number in STACKS],
        "growth": growth(),
    }
    write(HERE / "kernel.json", results)
    draw(results["growth"], HERE / "growth.png")


if __name__ == "__main__":
    main()
