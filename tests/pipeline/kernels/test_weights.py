import hashlib
import math
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

import unetprep
from tests import reference
from tests.synthetic import cell_labels
from unetcli.options import chosen
from unetprep.errors import InvalidInput
from unetprep.kernels.separate import separate_instances
from unetprep.kernels.weight_formula import make_formula
from unetprep.kernels.weights import balanced_class_weights, count_classes, weigh_block, weigh_block_bytes
from unetprep.params import WeightsParams
from unetprep.stages.weight_backends import ENGINES

ROOT = Path(__file__).parents[3]
REAL_DATA = ROOT.parent / "shared" / "data"  # real labels beside the checkout, where somebody has them

small_labels = hnp.arrays(
    np.int32, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.sampled_from([0] * 9 + [1, 2, 3, 70000])
)
volumes = hnp.arrays(np.int32, st.tuples(*[st.integers(1, 6)] * 3), elements=st.sampled_from([0, 0, 0, 0, 1, 2, 9]))


def two_columns(gap: int) -> NDArray[np.int32]:
    """Two cells that leave `gap` columns of background between them."""
    labels = np.zeros((9, gap + 4), np.int32)
    labels[:, :2], labels[:, -2:] = 1, 2
    return labels


@pytest.mark.parametrize(("gap", "column", "expected"), [(1, 2, 9.2312), (2, 2, 8.3527), (9, 6, 1.3534)])
def test_border_term_has_the_values_of_the_paper(gap: int, column: int, expected: float) -> None:
    weights = unetprep.weight_map(two_columns(gap), class_weights=(0, 0))
    assert weights[4, column] == pytest.approx(expected, abs=5e-5)


def test_the_later_formula_has_its_values() -> None:
    touching = unetprep.weight_map(np.array([[1, 2]]), formula="falk2019")
    np.testing.assert_allclose(touching, [[1, 50.3104]], atol=5e-5)  # (d1, d2) = (0, 1)
    assert unetprep.weight_map(two_columns(1), formula="falk2019")[4, 2] == pytest.approx(48.2935, abs=5e-5)
    lone = np.zeros((5, 300), np.uint8)
    lone[:, :3] = 1
    weights = unetprep.weight_map(lone, formula="falk2019")[2]
    assert weights[3] == pytest.approx(0.1 + 0.9 * math.exp(-1 / 200), abs=1e-6)
    assert weights[200] == pytest.approx(0.1)


@given(small_labels, st.floats(0.5, 8), st.booleans())
def test_weights_equal_the_formula_on_the_whole_image(labels: NDArray[np.int32], sigma: float, on_cells: bool) -> None:
    found = unetprep.weight_map(
        labels, sigma=sigma, class_weights=(0.7, 2.5), border_on="all" if on_cells else "background"
    )
    target = reference.separate(labels)
    expected = reference.weight_map(labels, target, (0.7, 2.5), sigma=sigma, on_cells=on_cells)
    np.testing.assert_allclose(found, expected, atol=2e-6)


@given(small_labels, st.floats(0, 1), st.floats(0.5, 20), st.floats(0, 60), st.floats(0.5, 8))
def test_the_later_formula_on_the_whole_image(
    labels: NDArray[np.int32], v: float, s1: float, w0: float, s2: float
) -> None:
    found = unetprep.weight_map(labels, w0, s2, formula="falk2019", background_weight=v, rim_sigma=s1)
    expected = reference.weight_map_2019(labels, reference.separate(labels), v, s1, w0, s2)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=2e-6)


@given(volumes, st.tuples(*[st.sampled_from([1.0, 4.0, 0.5, 2.7])] * 3))
def test_weights_of_a_volume_of_any_pixel_size(labels: NDArray[np.int32], spacing: tuple[float, ...]) -> None:
    found = unetprep.weight_map(labels, spacing=spacing, class_weights=(1, 1))
    expected = reference.weight_map(labels, reference.separate(labels), (1, 1), spacing=spacing)
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("shape", [(1, 300, 260), (9, 70, 90), (40, 90, 100)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (4.0, 1.0, 1.0)])
@pytest.mark.parametrize("largest", [40, 2**30])
def test_weights_take_the_memory_that_is_stated(
    shape: tuple[int, ...], spacing: tuple[float, ...], largest: int
) -> None:
    labels = np.zeros((shape[0], shape[1] + 62, shape[2] + 62), np.int32)
    labels[0, :9, :9], labels[0, 12:20, :9] = 1, largest
    core = tuple(slice((n - m) // 2, (n + m) // 2) for n, m in zip(labels.shape, shape, strict=True))
    formula = make_formula("paper", {})
    target = np.zeros(labels.shape, np.uint8)[core]
    weigh_block(labels, target, (1.0, 1.0), formula, spacing, core)  # compiled
    tracemalloc.start()
    weigh_block(labels, target, (1.0, 1.0), formula, spacing, core)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    stated = weigh_block_bytes(labels.shape, shape, formula, spacing, largest, False)
    assert 0.95 * stated < peak < 1.01 * stated + 10_000


def test_processors_with_narrow_vectors_get_the_same_bits() -> None:
    program = """if True:
        import hashlib, unetprep
        from tests.synthetic import cell_labels
        from unetprep.kernels.simd import LANES
        weights = unetprep.weight_map(cell_labels((90, 107), 30))
        print(LANES, hashlib.sha256(weights.tobytes()).hexdigest())
    """
    narrow = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **narrow},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    weights = unetprep.weight_map(cell_labels((90, 107), 30))
    assert ran.stdout.split() == ["8", hashlib.sha256(weights.tobytes()).hexdigest()]


def test_slices_of_a_stack_are_independent() -> None:
    stack = np.stack([two_columns(3), np.zeros_like(two_columns(3))])
    weights = weigh_block(stack, (stack != 0).astype(np.uint8), (0.0, 0.0), make_formula("paper", {}), (1.0, 1.0))
    assert weights[0].max() > 1
    assert not weights[1].any()


@pytest.mark.parametrize("num_cells", [0, 1])
def test_fewer_than_two_cells_have_no_border_term(num_cells: int) -> None:
    labels = np.zeros((40, 40), np.uint8)
    if num_cells:
        labels[10:20, 10:20], labels[25:30, 25:30] = 7, 7  # one cell, in two pieces
    np.testing.assert_array_equal(
        unetprep.weight_map(labels, class_weights=(1, 3)), np.where(labels, 3, 1).astype(np.float32)
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64, np.uint64])
def test_any_integer_dtype_and_any_ids_give_the_same(dtype: type[np.integer]) -> None:
    labels = cell_labels((60, 50), 12)
    weights = unetprep.weight_map(labels)
    np.testing.assert_array_equal(unetprep.weight_map(labels.astype(dtype)), weights)
    if np.iinfo(dtype).max > 2**40:
        large = np.where(labels, labels.astype(dtype) * 2**35 + 7, 0)
        np.testing.assert_array_equal(unetprep.weight_map(large), weights)
        np.testing.assert_array_equal(unetprep.weight_map(large.T).T, unetprep.weight_map(labels.T).T)


@pytest.mark.parametrize("ignore_label", [-1, 255])
def test_ignored_pixels_weigh_nothing_and_are_no_cell(ignore_label: int) -> None:
    labels = np.zeros((30, 40), np.int32)
    labels[5:10, 5:10], labels[5:10, 12:20] = 1, 2
    without = unetprep.weight_map(labels, class_weights=(0.5, 2))
    labels[20:, :] = ignore_label
    with_ignored = unetprep.weight_map(labels, class_weights=(0.5, 2), ignore_label=ignore_label)
    np.testing.assert_array_equal(with_ignored, np.where(labels == ignore_label, 0, without))
    balanced = unetprep.weight_map(labels, ignore_label=ignore_label)[labels != ignore_label]
    np.testing.assert_array_equal(balanced, unetprep.weight_map(labels[:20]).ravel())


def test_without_a_border_term_only_the_classes_are_left() -> None:
    labels = cell_labels((40, 50), 9)
    np.testing.assert_array_equal(
        unetprep.weight_map(labels, w0=0, class_weights=(1, 3), separate="none"),
        np.where(labels, 3, 1).astype(np.float32),
    )


def test_class_weights_balance_the_classes() -> None:
    counts = np.array([750, 250])
    weights = balanced_class_weights(counts)
    assert weights == pytest.approx((2 / 3, 2))
    assert (counts * weights).sum() == pytest.approx(counts.sum())
    assert balanced_class_weights(np.array([100, 0])) == (1.0, 0.0)
    labels = np.array([[[0, 3, -1, 0, 2]]], np.int32)
    np.testing.assert_array_equal(count_classes((labels > 0).astype(np.uint8), labels), [2, 2])


@pytest.mark.parametrize(("formula", "reach"), [("paper", 31), ("falk2019", 58)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.5, 0.7, 0.9)])
@pytest.mark.parametrize("on_cells", [False, True])
def test_both_engines_agree_on_any_core(formula: str, reach: int, spacing: tuple[float, ...], on_cells: bool) -> None:
    labels = np.stack([cell_labels((150, 160), 40, seed, radius=11) for seed in range(4)]).astype(np.int32)
    labels[2, 30:40, 50:60] = -1
    chosen = make_formula(formula, {}, on_cells)
    assert chosen.reach == reach
    core = (slice(1, 3), slice(60, 90), slice(70, 101))
    target = separate_instances(labels, len(spacing))[core]
    ours, theirs = (ENGINES[e](labels, target, (0.5, 2.0), chosen, spacing, core) for e in ("numba", "edt"))
    np.testing.assert_allclose(ours, theirs, rtol=2e-7, atol=2e-6)


@pytest.mark.skipif(not REAL_DATA.exists(), reason="no real labels beside the checkout")
@pytest.mark.parametrize("source", ["dsb2018", "usiigaci", "fibsem-medulla", "ovule3d", "isbi2012"])
def test_both_engines_agree_on_real_labels(source: str) -> None:
    for labels, spacing in real_labels(source):
        core = tuple(slice(0, n) for n in labels.shape)
        target = separate_instances(labels, len(spacing))
        chosen = make_formula("paper", {})
        ours, theirs = (ENGINES[e](labels, target, (0.6, 1.9), chosen, spacing, core) for e in ("numba", "edt"))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)


def real_labels(source: str) -> list[tuple[NDArray[np.int32], tuple[float, ...]]]:
    """Parts of the real labels, as blocks (z, y, x), each with its pixel size."""
    folder = REAL_DATA / source
    if source in ("fibsem-medulla", "ovule3d"):
        volume = np.asarray(tifffile.imread(folder / "labels.tif"))[:24, :160, :160]
        return [
            (np.ascontiguousarray(np.unique(volume, return_inverse=True)[1].reshape(volume.shape), np.int32), s)
            for s in ((1.0, 1.0, 1.0), (4.0, 1.0, 1.0))
        ]
    if source == "isbi2012":
        masks = np.asarray(tifffile.imread(folder / "train-labels.tif"))[:2]
        return [(np.stack([ndimage.label(m > 0)[0] for m in masks]).astype(np.int32), (1.0, 1.0))]
    files = sorted(p for p in (folder / "labels").iterdir() if p.suffix in (".tif", ".png"))[:8]
    return [
        (np.asarray(imageio.imread(p) if p.suffix == ".png" else tifffile.imread(p), np.int32)[None], (1.0, 1.0))
        for p in files
    ]


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.zeros((4, 4)), {}, "must be integers"),
        (np.zeros(4, int), {}, "must be integers of 2 or 3 axes"),
        (np.full((4, 4), -1), {}, "must not be negative, and one is -1"),
        (np.zeros((4, 4), int), {"formula": "exp"}, "formula is 'exp', not one of paper, falk2019"),
        (np.zeros((4, 4), int), {"rim_sigma": 3.0}, "the formula 'paper' has no rim_sigma"),
        (np.zeros((4, 4), int), {"separate": "yes"}, "separate is 'yes', not one of raster, symmetric, none"),
        (np.zeros((4, 4), int), {"border_on": "cells"}, "border_on is 'cells'"),
        (np.zeros((4, 4), int), {"spacing": (4, 1, 1)}, "need 2 numbers"),
        (np.zeros((4, 4), int), {"spacing": (1001, 1)}, "at most 1000 times another"),
        (np.zeros((4, 4), int), {"spacing": (1, 0)}, "numbers over 0"),
        (np.zeros((4, 4), int), {"spacing": (1, -1)}, "numbers over 0"),
        (np.zeros((4, 4), int), {"spacing": (1, float("nan"))}, "numbers over 0"),
        (np.zeros((4, 4), int), {"formula": "falk2019", "class_weights": (1, 2)}, "the formula 'falk2019' has its own"),
    ],
)
def test_unusable_input_is_refused(labels: NDArray[np.integer], options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unetprep.weight_map(labels, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["1e300,1", "1,1e39", "0,0", "1e-300,1", "nan,1", "inf,1", "-1,1", "1", "a,b"])
def test_class_weights_that_no_training_can_use_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"class-weights is .*\n.*not all 0"):
        chosen(WeightsParams, {"class_weights": text})


@pytest.mark.parametrize(("text", "numbers"), [("0,1", (0, 1)), ("1e15,1e-15", (1e15, 1e-15)), ("none", (1, 1))])
def test_class_weights_that_float32_keeps_are_taken(text: str, numbers: tuple[float, float]) -> None:
    assert chosen(WeightsParams, {"class_weights": text}).fixed_class_weights() == numbers


def test_a_border_term_that_float32_cannot_hold_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"w0 is 1e\+39"):
        WeightsParams(w0=1e39)
    with pytest.raises(ValueError, match="class_weights are"):
        unetprep.weight_map(two_columns(1), class_weights=(1e39, 1))


def test_pixels_of_the_largest_anisotropy() -> None:
    labels = np.zeros((5, 9), np.int32)
    labels[2, [1, 6]] = 1, 2
    found = unetprep.weight_map(labels, sigma=5, spacing=(1000, 1), class_weights=(1, 1))
    expected = reference.weight_map(labels, (labels > 0).astype(np.uint8), (1, 1), spacing=(1000, 1))
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert WeightsParams(spacing=(1000, 1)).spacing == (1000, 1)
    with pytest.raises(InvalidInput, match="1001 times as long along one axis"):
        WeightsParams(spacing=(1001, 1))
