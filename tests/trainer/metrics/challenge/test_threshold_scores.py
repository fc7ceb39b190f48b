"""Scores at thresholds: the best, one that was fixed beforehand, single slices, and several images."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from unettrain.errors import InvalidInput
from unettrain.metrics import (
    Mismatch,
    ThresholdScores,
    challenge_curves,
    pixel_error_curve,
    rand_error_curve,
    v_info_curve,
    v_rand_curve,
    warping_error_curve,
    warping_mismatches,
)

CURVES = (pixel_error_curve, rand_error_curve, v_rand_curve, v_info_curve, warping_error_curve)
Curve = Callable[..., ThresholdScores]


def stack(seed: int, num: int, side: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Cells of three columns in a grid of membranes, and a noisy probability."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((side, side))
    labels = np.broadcast_to(((y % 8 > 0) & (x % 8 > 0)).astype(np.uint8), (num, side, side)).copy()
    probability = np.clip(labels * 0.6 + 0.2 + rng.normal(0, 0.25, labels.shape), 0, 1)
    return labels, probability.astype(np.float32)


@pytest.mark.parametrize("curve", CURVES)
def test_images_add_up_to_their_slices(curve: Curve) -> None:
    labels, proposal = stack(0, 3, 20)
    whole = curve(labels, proposal)
    parts = [curve(labels[z], proposal[z]) for z in range(3)]
    summed = parts[0] + parts[1] + parts[2]
    np.testing.assert_array_equal(summed.counts, whole.counts)
    np.testing.assert_array_equal(whole.per_slice, np.stack([part.values for part in parts], axis=1))
    assert (summed.num_slices, summed.metric) == (3, whole.metric)
    assert summed.best == whole.best
    assert len({tuple(part.values) for part in parts}) == 3


def test_images_of_different_sizes_are_pooled_as_defined() -> None:
    (a, p), (b, q) = stack(1, 1, 20), stack(2, 2, 33)
    one, two = challenge_curves(a, p, [0.3, 0.5]), challenge_curves(b, q, [0.3, 0.5])
    added = {name: one[name] + two[name] for name in one}
    for name in ("v_rand", "v_info"):
        expected = (one[name].values + 2 * two[name].values) / 3  # every slice counts alike
        np.testing.assert_allclose(added[name].values, expected)
    labels, proposal = (np.concatenate([x.ravel(), y.ravel()])[None] for x, y in ((a, b), (p, q)))
    np.testing.assert_allclose(added["pixel_error"].values, pixel_error_curve(labels, proposal, [0.3, 0.5]).values)
    for name in ("splits_px", "mergers_px"):
        np.testing.assert_array_equal(
            getattr(added["warping_error"], name),
            getattr(one["warping_error"], name) + getattr(two["warping_error"], name),
        )
    wrong = added["warping_error"].values * (20 * 20 + 2 * 33 * 33)
    np.testing.assert_allclose(wrong, np.round(wrong), atol=1e-9)
    sums = one["rand_error"].counts.sum(axis=1) + two["rand_error"].counts.sum(axis=1)
    precision, recall = sums[:, 0] / sums[:, 1], sums[:, 0] / sums[:, 2]
    np.testing.assert_allclose(added["rand_error"].values, 1 - 2 * precision * recall / (precision + recall))


def test_the_best_is_the_lowest_error_and_the_highest_score_and_the_first_of_several() -> None:
    labels, proposal = stack(3, 1, 20)
    for name, scores in challenge_curves(labels, proposal).items():
        pick = np.max if name in ("v_rand", "v_info") else np.min
        assert scores.best == pick(scores.values)
        assert scores.best == scores.at(scores.best_threshold)
        assert 0 < scores.best_threshold < 1
        same = challenge_curves(labels, labels.astype(bool))[name]
        assert same.best_threshold == 0


def test_a_score_at_a_threshold_that_was_fixed_beforehand() -> None:
    labels, proposal = stack(4, 1, 20)
    scores = v_rand_curve(labels, proposal)
    assert scores.at(0.3) == scores.values[3]  # the threshold is 0.30000000000000004
    assert scores.at(0.8) == scores.values[8]
    with pytest.raises(InvalidInput, match=r"threshold is 0.25\n  allowed: 0, 0.1, (.|\n)*give it among"):
        scores.at(0.25)
    chosen = v_rand_curve(labels, proposal, [0.25, 0.3, 0.5])
    assert chosen.at(0.5) == scores.at(0.5)
    assert chosen.values.shape == (3,)


def test_scores_of_other_metrics_or_thresholds_do_not_add_up() -> None:
    labels, proposal = stack(5, 1, 12)
    curves = challenge_curves(labels, proposal)
    with pytest.raises(InvalidInput, match=r"v_rand at(.|\n)*and v_info at(.|\n)*one metric at the same thresholds"):
        curves["v_rand"] + curves["v_info"]
    with pytest.raises(InvalidInput, match="the same thresholds"):
        curves["v_rand"] + v_rand_curve(labels, proposal, [0.5])


def test_plain_values_for_json() -> None:
    labels, proposal = stack(6, 2, 12)
    curves = challenge_curves(labels, proposal, [0.4, 0.5])
    found = curves["rand_error"].as_dict()
    assert list(found) == ["best", "best_threshold", "thresholds", "values", "precision", "recall"]
    assert found["thresholds"] == [0.4, 0.5]
    assert found["values"] == curves["rand_error"].values.tolist()
    warping = curves["warping_error"]
    assert list(warping.as_dict())[4:] == ["splits_px", "mergers_px"]
    assert (warping.precision, warping.recall, curves["v_rand"].splits_px, curves["v_rand"].mergers_px) == (None,) * 4


def test_precision_falls_with_merges_and_recall_with_splits() -> None:
    labels = np.ones((6, 13), np.uint8)
    labels[:, [3, 6, 9]] = 0
    merged, split = labels.astype(bool), labels.astype(bool)
    merged[3, 3], split[:, 11] = True, False
    for curve in (rand_error_curve, v_rand_curve, v_info_curve):
        precision, recall = curve(labels, merged).precision, curve(labels, merged).recall
        assert precision is not None
        assert recall is not None
        assert precision[0] < 0.99 < 1 <= recall[0] + 1e-12
        precision, recall = curve(labels, split).precision, curve(labels, split).recall
        assert precision is not None
        assert recall is not None
        assert recall[0] < 0.99 < 1 <= precision[0] + 1e-12


def test_mismatches_are_those_that_are_counted_at_their_places() -> None:
    labels, proposal = stack(7, 2, 20)
    curve = warping_error_curve(labels, proposal, [0.4])
    classes = warping_mismatches(labels, proposal, 0.4)
    assert classes.dtype == np.uint8
    assert classes.shape == labels.shape
    assert curve.counts[0, :, 0].tolist() == (classes == Mismatch.SPLIT).sum(axis=(1, 2)).tolist()
    assert curve.counts[0, :, 1].tolist() == (classes == Mismatch.MERGE).sum(axis=(1, 2)).tolist()
    assert not (classes[(labels > 0) == (proposal > 0.4)]).any()
    np.testing.assert_array_equal(warping_mismatches(labels[1], proposal[1], 0.4), classes[1])
    wall = np.ones((5, 9), np.uint8)
    wall[:, 4] = 0
    gap = wall.astype(bool)
    gap[1, 4] = True
    expected = np.zeros((5, 9))
    expected[1, 4] = Mismatch.MERGE
    np.testing.assert_array_equal(warping_mismatches(wall, gap), expected)
