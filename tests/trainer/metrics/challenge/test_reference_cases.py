"""The challenge's metrics against the scores of its own code, and against slow formulas.

`cases.npz` holds synthetic labels and proposals, `cases.json` their scores by the challenge's Java, at its thresholds;
a list of one number means the same at every threshold.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from tests.challenge_reference import information_f, rand_f, shares, thin
from unettrain.metrics import (
    CHALLENGE_THRESHOLDS,
    Mismatch,
    challenge_curves,
    pixel_error,
    rand_error,
    v_info,
    v_info_curve,
    v_rand,
    v_rand_curve,
    warping_error,
    warping_mismatches,
)

HERE = Path(__file__).parent
CASES: dict[str, dict[str, Any]] = json.loads((HERE / "cases.json").read_text())
SHARED = Path(__file__).parents[5] / "shared" / "metric-cases"  # also cases of real labels, where somebody has them
# The challenge's code finds no splits in a slice of labels of one value, and takes them for added objects.
CASES["label_all_cell"] |= {"splits_px": [2]}
CASES["label_all_cell"]["mismatches_at_0.5"] |= {"splits": 2, "object_additions": 0}
CLASSES = ("splits", "mergers", "hole_additions", "hole_deletions", "object_additions", "object_deletions")


def arrays(case: str) -> tuple[NDArray[Any], NDArray[Any]]:
    with np.load(HERE / "cases.npz") as stored:
        return stored[f"{case}_labels"], stored[f"{case}_proposal"]


@pytest.mark.parametrize("case", CASES)
def test_scores_equal_those_of_the_challenges_code(case: str) -> None:
    (labels, proposal), expected = arrays(case), CASES[case]
    curves = challenge_curves(labels, proposal)
    pixels, rand, warping = (curves[name] for name in ("pixel_error", "rand_error", "warping_error"))
    assert rand.precision is not None
    assert rand.recall is not None
    assert warping.splits_px is not None
    assert warping.mergers_px is not None
    for found, name in (
        (1 - pixels.values, "pixel_f"),
        (1 - rand.values, "rand_f"),
        (rand.precision, "rand_precision"),
        (rand.recall, "rand_recall"),
        (curves["v_rand"].values, "v_rand"),
        (curves["v_info"].values, "v_info"),
    ):
        np.testing.assert_allclose(found, np.broadcast_to(expected[name], 11), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(warping.splits_px, np.broadcast_to(expected["splits_px"], 10))
    np.testing.assert_array_equal(warping.mergers_px, np.broadcast_to(expected["mergers_px"], 10))
    assert rand_error(labels, proposal, variant="2014") == pytest.approx(expected["rand_error_2014"], abs=1e-12)
    assert v_info(labels, proposal, thin=False) == pytest.approx(expected["v_info_unthinned"], abs=1e-12)
    classes = warping_mismatches(labels, proposal, 0.5)
    counts = np.bincount(classes.ravel(), minlength=len(Mismatch))[1:]
    assert dict(zip(CLASSES, counts.tolist(), strict=True)) == expected["mismatches_at_0.5"]


@pytest.mark.parametrize("case", ["voronoi2", "stack2"])
def test_each_function_gives_the_best_of_its_curve(case: str) -> None:
    labels, proposal = arrays(case)
    curves = challenge_curves(labels, proposal)
    functions = (pixel_error, rand_error, v_rand, v_info, warping_error)
    assert [function(labels, proposal) for function in functions] == [score.best for score in curves.values()]
    assert list(curves) == [function.__name__ for function in functions]
    expected = CASES[case]
    assert pixel_error(labels, proposal) == pytest.approx(1 - max(expected["pixel_f"]), abs=1e-12)
    assert v_rand(labels, proposal) == pytest.approx(max(expected["v_rand"]), abs=1e-12)
    px = np.add(*np.broadcast_arrays(expected["splits_px"], expected["mergers_px"]))
    assert warping_error(labels, proposal) == min(px) / labels.size


@pytest.mark.parametrize(
    "case", ["blur1.5", "cell_dilated2", "cell_eroded1", "identical", "shift_y2x1", "slice5_vs_slice6"]
)
def test_scores_of_real_labels_equal_those_of_the_challenges_code(case: str) -> None:
    if not SHARED.is_dir():
        pytest.skip("the challenge's labels are not beside the checkout")
    expected = json.loads((SHARED / "reference.json").read_text())[f"isbi_{case}"]
    labels, proposal = (tifffile.imread(SHARED / f"isbi_{case}_{kind}.tif") for kind in ("label", "proposal"))
    curves = challenge_curves(labels, proposal)
    for name, key in (
        ("pixel_error", "pixel_error"),
        ("rand_error", "rand_error_foreground_n2"),
        ("v_rand", "v_rand_thin_macro"),
        ("v_info", "v_info_thin"),
        ("warping_error", "warping_error_splits_mergers_r20"),
    ):
        assert curves[name].best == pytest.approx(expected[key], abs=1e-12)


def test_the_thresholds_are_those_of_an_accumulating_loop() -> None:
    assert CHALLENGE_THRESHOLDS[3] == 0.30000000000000004
    assert CHALLENGE_THRESHOLDS[8:] == (0.7999999999999999, 0.8999999999999999, 0.9999999999999999)
    assert len(CHALLENGE_THRESHOLDS) == 11


shapes = st.tuples(st.integers(2, 10), st.integers(2, 10))
images = shapes.flatmap(lambda shape: st.tuples(*[hnp.arrays(bool, shape)] * 2))


@settings(max_examples=40)
@given(images, st.booleans())
def test_v_rand_and_v_info_equal_the_slow_formulas(
    pair: tuple[NDArray[np.bool_], NDArray[np.bool_]], thinned: bool
) -> None:
    labels, proposal = pair
    labels[0, 0] = True
    cells = ndimage.label(labels)[0]
    p = shares(cells, thin(proposal) if thinned else ndimage.label(proposal)[0])
    found = v_rand_curve(labels, proposal, [0.5], thin=thinned), v_info_curve(labels, proposal, [0.5], thin=thinned)
    assert found[0].best == pytest.approx(rand_f(p, int(labels.sum())), abs=1e-12)
    assert found[1].best == pytest.approx(information_f(p, int(labels.sum())), abs=1e-9)
