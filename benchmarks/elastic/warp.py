"""Deforming a 572 x 572 tile, its labels and its weights, against OpenCV and against other packages.

    python -m benchmarks.elastic.warp        writes warp.json and RESULTS.md beside this file

One thread, float32 image and weights, uint8 labels, cut from arrays with a margin of 48, and a 3 x 3 grid of standard
deviation 10 pixels. Other packages are measured where they are installed (`elasticdeform` from its source
distribution, since its wheel does not import under numpy 2; `monai`; `augment-nd`, which is what gunpowder calls).
"""

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from scipy import ndimage

from benchmarks.measure import described, machine, page, ratio, spread, write
from unetprep import displacement_field
from unetprep.kernels.random_fields import draw_grids
from unetprep.kernels.warp import Transform, warp_tile

HERE = Path(__file__).parent
SIDE, MARGIN = 572, 48
PAIRS = 41
SLOW_PAIRS = 5

rng = np.random.default_rng(0)
OUTER = SIDE + 2 * MARGIN
IMAGE, WEIGHTS = rng.random((2, OUTER, OUTER), np.float32)
LABELS = rng.integers(0, 255, (OUTER, OUTER), np.uint8)
GRID = draw_grids(0, [0], (3, 3), 10.0)[0]
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.float32) + np.float32(MARGIN)
CUT = np.s_[MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE]


def fused(order: int = 1) -> Any:
    """Ours."""
    return warp_tile(IMAGE[None], LABELS, WEIGHTS, Transform(grid=GRID), SIDE, order)


def expansion() -> Any:
    """The field alone."""
    return displacement_field(GRID, (SIDE, SIDE), dtype=np.float32)


def chain(mode: int = cv2.INTER_LINEAR) -> Any:
    """The field, and one remap for each array."""
    dy, dx = expansion()
    y, x = ROWS + dy, COLUMNS + dx
    return (
        cv2.remap(IMAGE, x, y, mode),
        cv2.remap(LABELS, x, y, cv2.INTER_NEAREST),
        cv2.remap(WEIGHTS, x, y, cv2.INTER_LINEAR),
    )


def by_elasticdeform() -> Callable[[], Any]:
    """A spline of the whole grid for each pixel."""
    elasticdeform = importlib.import_module("elasticdeform")
    arrays = [IMAGE[CUT], LABELS[CUT], WEIGHTS[CUT]]
    return lambda: elasticdeform.deform_grid(arrays, GRID, order=[1, 0, 1], mode="mirror")


def by_monai() -> Callable[[], Any]:
    """Its dictionary transform, on tensors, with a grid as coarse as ours."""
    transforms = importlib.import_module("monai.transforms")
    keys = ["image", "labels", "weights"]
    data = {k: torch.from_numpy(a[CUT][None].copy()) for k, a in zip(keys, (IMAGE, LABELS, WEIGHTS), strict=True)}
    modes = ["bilinear", "nearest", "bilinear"]
    step = (SIDE // 2, SIDE // 2)
    transform = transforms.Rand2DElasticd(keys, step, (10, 10), prob=1.0, mode=modes, padding_mode="reflection")
    return lambda: transform(data)


def by_augment() -> Callable[[], Any]:
    """What gunpowder's ElasticAugment calls, without its pipeline."""
    augment = importlib.import_module("augment")

    def run() -> Any:
        moved = augment.create_elastic_transformation((SIDE, SIDE), (SIDE // 2, SIDE // 2), (10, 10))
        arrays = ((IMAGE, True), (LABELS, False), (WEIGHTS, True))
        return [augment.apply_transformation(array[CUT], moved, interpolate=linear) for array, linear in arrays]

    return run


OTHERS = {"elasticdeform": by_elasticdeform, "monai": by_monai, "augment-nd": by_augment}


def farthest_px() -> dict[str, float]:
    """How far our fields are from those of others, in float64, from the same grid."""
    grid = GRID.astype(np.float64)
    field = displacement_field(grid, (SIDE, SIDE))
    zoomed = np.stack([ndimage.zoom(part, SIDE / 3, order=3, mode="mirror") for part in grid])
    found = {"scipy.ndimage.zoom": float(abs(field - zoomed).max())}
    try:
        elasticdeform = importlib.import_module("elasticdeform")
    except ImportError:
        return found
    places = np.mgrid[:SIDE, :SIDE].astype(np.float64)  # an image of coordinates tells where each pixel came from
    moved = np.stack([elasticdeform.deform_grid(p, grid, order=1, mode="nearest") for p in places])
    inside = ((moved > 0) & (moved < SIDE - 1)).all(axis=0)
    found["elasticdeform"] = float(abs(field - (moved - places))[:, inside].max())
    return found


def main() -> None:
    """Measure, and write it down."""
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    results: dict[str, Any] = {
        "machine": machine("numpy", "numba", "opencv-python-headless"),
        "side": SIDE,
        "against_opencv": ratio(fused, chain, PAIRS),
        "cubic_against_opencv": ratio(lambda: fused(3), lambda: chain(cv2.INTER_CUBIC), PAIRS),
        "expansion_against_chain": ratio(expansion, chain, PAIRS),
        "farthest_px": farthest_px(),
        "others": {},
    }
    for name, prepare in OTHERS.items():
        try:
            theirs = prepare()
            results["others"][name] = ratio(fused, theirs, SLOW_PAIRS)
        except ImportError as error:
            results["others"][name] = f"not installed: {error}"
    write(HERE / "warp.json", results)
    (HERE / "RESULTS.md").write_text(as_page(results))


def as_page(found: dict[str, Any]) -> str:
    """The results as a page."""
    rows = [
        ("field and three times `cv2.remap`, linear", found["against_opencv"]),
        ("the same, image cubic", found["cubic_against_opencv"]),
        *((name, values) for name, values in found["others"].items() if isinstance(values, dict)),
    ]
    lines = [
        f"| {name} | {v['ours_seconds'] * 1e3:.1f} | {v['theirs_seconds'] * 1e3:.1f} | {spread(v)}"
        f" | {1 / v['ratio']:.3g} |"
        for name, v in rows
    ]
    missing = [f"{name} was {why}." for name, why in found["others"].items() if isinstance(why, str)]
    expansion_ratio = found["expansion_against_chain"]
    far = ", ".join(f"{value:.1g} px from `{name}`" for name, value in found["farthest_px"].items())
    return page(
        "Deformation, measured",
        "benchmarks.elastic.warp",
        "warp.json",
        f"An image, labels and weights of {SIDE} x {SIDE} through one field, one thread. {described(found)}.",
        "| against | ours, ms | theirs, ms | ours / theirs | faster by |",
        lines,
        *missing,
        f"The expansion of the grid alone takes {expansion_ratio['ratio']:.3g} of the chain with OpenCV"
        f" ({expansion_ratio['ours_seconds'] * 1e3:.2f} ms). In float64 the field is {far}.",
    )


if __name__ == "__main__":
    main()
