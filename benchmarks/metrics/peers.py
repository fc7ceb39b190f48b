"""AP, SEG, variation of information and adapted Rand against other packages: equal values, and the time of both.

    python -m benchmarks.metrics.peers        writes peers.json beside this file

stardist and py-ctcmetrics are compared where they are installed. Labels are 2,000 touching cells; the proposal shifts
them, and joins and drops some. Seconds are CPU time of one thread; each pair is timed in turn.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from skimage.metrics import adapted_rand_error
from skimage.metrics import variation_of_information as skimage_variation

from benchmarks.measure import machine, write
from unetprep.sources.cells import Cells
from unettrain.metrics import adapted_rand, average_precision, seg, variation_of_information
from unettrain.metrics.instances import THRESHOLDS

HERE = Path(__file__).parent
NUM_CELLS, SIDE = 2000, 2048
COVERED = 0.6
PAIRS = 5
Labels = NDArray[np.int32]


def example() -> tuple[Labels, Labels]:
    """Labels of 2,000 cells, and a proposal: shifted by 3 px, every 20th cell joined to another, every 15th missing."""
    labels = np.asarray(Cells((SIDE, SIDE), NUM_CELLS, COVERED).window((0, 0), (SIDE, SIDE)), np.int32)
    number = np.arange(labels.max() + 1, dtype=np.int32)
    number[20::20] -= 1
    number[15::15] = 0
    return labels, np.roll(number[labels], 3, axis=1)


def by_stardist(labels: Labels, proposal: Labels) -> list[float]:
    """AP at each threshold."""
    matching = import_module("stardist.matching").matching
    return [float(matching(labels, proposal, t).accuracy) for t in THRESHOLDS]


def by_ctc_metrics(labels: Labels, proposal: Labels) -> list[float]:
    """SEG, from files, which is what the package reads."""
    match = import_module("ctc_metrics.utils.representations").match
    of = import_module("ctc_metrics.metrics").seg
    with tempfile.TemporaryDirectory() as folder:
        for name, array in (("labels", labels), ("proposal", proposal)):
            tifffile.imwrite(f"{folder}/{name}.tif", array)
        numbers, _, _, _, ious = match(f"{folder}/labels.tif", f"{folder}/proposal.tif")
    return [float(of([numbers], [ious]))]


def by_skimage(labels: Labels, proposal: Labels) -> list[float]:
    """Both parts of the variation of information, and the adapted Rand error."""
    parts = skimage_variation(labels, proposal)  # type: ignore[no-untyped-call]
    error = adapted_rand_error(labels, proposal, ignore_labels=())[0]  # type: ignore[no-untyped-call]
    return [*map(float, parts), float(error)]


def partitions(labels: Labels, proposal: Labels) -> list[float]:
    """The same as `by_skimage`."""
    parts = variation_of_information(labels, proposal)
    return [parts.split, parts.merge, adapted_rand(labels, proposal).error]


Compute = Callable[[Labels, Labels], list[float]]
COMPARISONS: dict[str, tuple[str, Compute, Compute]] = {
    "ap": ("stardist", lambda a, b: list(average_precision(a, b).values()), by_stardist),
    "seg": ("py-ctcmetrics", lambda a, b: [seg(a, b)], by_ctc_metrics),
    "partitions": ("scikit-image", partitions, by_skimage),
}


def compare(ours: Compute, theirs: Compute, labels: Labels, proposal: Labels) -> dict[str, Any]:
    """The largest difference of the values, and the CPU seconds of both."""
    found, expected = ours(labels, proposal), theirs(labels, proposal)
    seconds: list[tuple[float, float]] = []
    for _ in range(PAIRS):
        start = time.process_time()
        ours(labels, proposal)
        middle = time.process_time()
        theirs(labels, proposal)
        seconds.append((middle - start, time.process_time() - middle))
    ratios = [b / a for a, b in seconds]
    return {
        "values": found,
        "largest_difference": float(np.abs(np.subtract(found, expected)).max()),
        "times_as_fast": round(statistics.median(ratios), 2),
        "times_as_fast_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "cpu_seconds": round(statistics.median(a for a, _ in seconds), 4),
        "their_cpu_seconds": round(statistics.median(b for _, b in seconds), 4),
    }


def main() -> None:
    """Compare with the packages that are installed."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    labels, proposal = example()
    results: dict[str, Any] = {
        "machine": machine("numpy", "numba", "scipy"),
        "shape": [SIDE, SIDE],
        "cells": len(np.unique(labels)) - 1,
        "proposed": len(np.unique(proposal)) - 1,
    }
    for name, (package, ours, theirs) in COMPARISONS.items():
        try:
            results[name] = {"package": f"{package} {version(package)}", **compare(ours, theirs, labels, proposal)}
        except PackageNotFoundError:
            results[name] = {"package": f"{package} is not installed"}
    write(HERE / "peers.json", results)


if __name__ == "__main__":
    main()
