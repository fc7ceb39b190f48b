"""Speed of the metrics of the EM challenge, and against the same from scipy and scikit-image, on one thread.

    python -m benchmarks.metrics.speed                 generated membranes; writes speed.json and RESULTS.md
    python -m benchmarks.metrics.speed --labels L.tif --proposal P.tif           your own images; only prints

CPU seconds (time.process_time), which other work on the machine changes less than those of the clock.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from benchmarks.measure import described, machine, page, ratio, seconds, spread, write
from benchmarks.metrics import libraries
from unettrain.metrics import CHALLENGE_THRESHOLDS, challenge_curves, v_info, v_rand, warping_error
from unettrain.metrics.challenge.inputs import checked_pair, checked_thresholds
from unettrain.metrics.challenge.objects import v_curves

HERE = Path(__file__).parent
SIDE, SLICES, CELLS, MEMBRANE_PX = 512, 30, 150, 4.0
BLUR_PX, NOISE = 1.5, 0.15
REPEATS, PAIRS = 5, 3
NUM = len(CHALLENGE_THRESHOLDS)
FEW = np.array([0.3, 0.5, 0.7])  # thresholds of the comparison, as the libraries take seconds for each


def membranes(num: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Voronoi cells with membranes between them (slices, y, x), and a blurred, noisy probability."""
    rng = np.random.default_rng(seed)
    pixels = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), axis=-1).reshape(-1, 2)
    labels = np.empty((num, SIDE, SIDE), np.uint8)
    for z in range(num):
        near = np.asarray(KDTree(rng.uniform(0, SIDE, (CELLS, 2))).query(pixels, k=2)[0])
        labels[z] = np.where(near[:, 1] - near[:, 0] > MEMBRANE_PX, 255, 0).reshape(SIDE, SIDE)
    blurred = ndimage.gaussian_filter(labels / 255, (0, BLUR_PX, BLUR_PX))
    return labels, np.clip(blurred + rng.normal(0, NOISE, labels.shape), 0, 1).astype(np.float32)


def cpu_seconds(call: Callable[[], Any], repeats: int = REPEATS) -> dict[str, float]:
    """The median of several calls, and their range, after one that compiles."""
    call()
    runs = [seconds(call, time.process_time) for _ in range(repeats)]
    return {"seconds": round(statistics.median(runs), 4), "least": round(min(runs), 4), "most": round(max(runs), 4)}


def measure(labels: NDArray[Any], proposal: NDArray[Any]) -> dict[str, Any]:
    """Seconds of the metrics, and ratios to the libraries on the first slice."""
    pair, thresholds, one = checked_pair(labels, proposal, "v_rand"), checked_thresholds(None), (labels[0], proposal[0])
    return {
        "shape": list(labels.shape),
        "warping_error_of_a_slice": cpu_seconds(lambda: warping_error(*one)),
        "v_rand_and_v_info": cpu_seconds(lambda: v_curves(pair, thresholds), 3),
        "v_rand_of_a_slice": cpu_seconds(lambda: v_rand(*one)),
        "v_info_of_a_slice": cpu_seconds(lambda: v_info(*one)),
        "all_metrics_of_a_slice": cpu_seconds(lambda: challenge_curves(*one)),
        "against_libraries": {
            "warping_error": ratio(
                lambda: warping_error(*one, FEW.tolist()),
                lambda: libraries.warping_error(*one, FEW),
                PAIRS,
                clock=time.process_time,
            ),
            "v_rand_and_v_info": ratio(
                lambda: v_curves(checked_pair(*one, "v_rand"), thresholds),
                lambda: libraries.v_scores(*one, thresholds),
                PAIRS,
                clock=time.process_time,
            ),
        },
        "scores": {
            "warping_error": [warping_error(*one, FEW.tolist()), libraries.warping_error(*one, FEW)],
            "v_rand": [v_rand(*one), libraries.v_scores(*one, thresholds)[0]],
            "v_info": [v_info(*one), libraries.v_scores(*one, thresholds)[1]],
        },
    }


def results(found: dict[str, Any]) -> str:
    """RESULTS.md."""
    names = {
        "warping_error_of_a_slice": "warping error, a slice, 10 thresholds",
        "v_rand_and_v_info": f"V_rand and V_info, {found['shape'][0]} slices, {NUM} thresholds",
        "v_rand_of_a_slice": "V_rand, a slice",
        "v_info_of_a_slice": "V_info, a slice",
        "all_metrics_of_a_slice": "all five metrics, a slice",
    }
    rows = [
        f"| {name} | **{found[key]['seconds']:.3g} s** ({found[key]['least']:.3g} to {found[key]['most']:.3g}) |"
        for key, name in names.items()
    ]
    theirs = found["against_libraries"]
    about = (
        f"CPU seconds of one thread, median and range of {REPEATS} calls (30 slices: 3), after compilation. Slices of"
        f" {SIDE} x {SIDE} pixels: {CELLS} Voronoi cells, membranes of {MEMBRANE_PX:g} pixels, blur {BLUR_PX:g}, noise"
        f" {NOISE:g}. {described(found)}, beside other work."
    )
    after = [
        "Time of ours over that of the same computation from scipy and scikit-image (`libraries.py`), in turn:",
        "",
        "| | ratio |",
        "|---|---|",
        f"| warping error, {len(FEW)} thresholds | {spread(theirs['warping_error'])} |",
        f"| V_rand and V_info, {NUM} thresholds | {spread(theirs['v_rand_and_v_info'])} |",
        "",
        "Scores of both (ours, theirs): "
        + "; ".join(f"{name} {ours:.6f}, {other:.6f}" for name, (ours, other) in found["scores"].items())
        + ". The warping error is the same; the lines of scikit-image's watershed differ by a few pixels.",
    ]
    columns = "| | CPU time |"
    return page("Metrics, measured", "benchmarks.metrics.speed", "speed.json", about, columns, rows, *after)


def main() -> None:
    """Measure generated images, or given ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--proposal", type=Path)
    given = parser.parse_args()
    if given.labels and given.proposal:
        labels, proposal = (tifffile.imread(path) for path in (given.labels, given.proposal))
        stacked = (array if array.ndim == 3 else array[None] for array in (labels, proposal))
        for name, value in measure(*stacked).items():
            print(name, value)
        return
    about = machine("numpy", "numba", "scipy", "scikit-image")
    found = {"machine": about, **measure(*membranes(SLICES))}
    write(HERE / "speed.json", found)
    (HERE / "RESULTS.md").write_text(results(found))


if __name__ == "__main__":
    main()
