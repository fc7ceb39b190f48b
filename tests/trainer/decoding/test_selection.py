from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from tests.trainer.decoding.images import Image, blobs, random_cells
from tests.trainer.decoding.test_arrays import parameters
from unettrain.decoding.arrays import separate_instances
from unettrain.decoding.params import DecodingParams
from unettrain.decoding.selection import DecodingScores, candidate_decodings, validation_decodings
from unettrain.errors import InvalidInput
from unettrain.metrics.instances import THRESHOLDS, average_precision, match_at_thresholds


def cells(seed: int) -> tuple[Image, NDArray[np.int32]]:
    """Foreground of touching cells, too bright by half, and their true labels."""
    image = random_cells((120, 120), 36, seed)
    truth = separate_instances(image)
    return np.clip(ndimage.gaussian_filter(image, 1) * 1.4, 0, 1), truth


def scores_of(*candidates: DecodingParams, images: int = 3) -> DecodingScores:
    scores = DecodingScores(candidates)
    for seed in range(images):
        scores.add(*cells(seed))
    return scores


@settings(max_examples=60)
@given(st.lists(parameters, min_size=1, max_size=5), st.integers(0, 9), st.booleans())
def test_candidates_are_scored_as_decoded_one_by_one(
    candidates: list[DecodingParams], seed: int, with_ignored: bool
) -> None:
    image, truth = blobs((50, 40), seed), separate_instances(blobs((50, 40), seed))
    ignored = blobs((50, 40), seed + 1) > 0.6 if with_ignored else None
    scores = DecodingScores(candidates)
    scores.add(image, truth, ignored)
    for k, params in enumerate(candidates):
        found = match_at_thresholds(truth, separate_instances(image, params), THRESHOLDS, ignored)
        assert [replace(m, sum_iou=0.0) for m in scores.matchings(k)] == [replace(m, sum_iou=0.0) for m in found]
        assert [m.sum_iou for m in scores.matchings(k)] == pytest.approx([m.sum_iou for m in found])


def test_the_best_of_the_grid_is_chosen() -> None:
    scores = scores_of(*candidate_decodings(DecodingParams()))
    chosen = scores.best()
    best = max(scores.mean_ap(k) for k in range(len(scores.candidates)))
    assert chosen is not None
    assert chosen.threshold > 0.5
    assert scores_of(chosen).mean_ap() == best
    assert best > scores_of(DecodingParams()).mean_ap()


def test_of_equal_candidates_the_middle_is_chosen() -> None:
    image = np.zeros((1, 40, 40), np.float32)
    image[:, 5:15, 5:15] = image[:, 25:35, 20:30] = 1
    truth = separate_instances(image)
    base = DecodingParams(min_area_px=7, grow_px=0)
    scores = DecodingScores(candidate_decodings(base))
    scores.add(image, truth)
    assert scores.best() == base


def test_the_grid_surrounds_the_defaults() -> None:
    candidates = candidate_decodings(DecodingParams())
    assert candidates[0] == DecodingParams()
    assert len(set(candidates)) == len(candidates)
    assert candidate_decodings(DecodingParams(seeds="probability"))[0].seeds == "probability"


def test_without_true_cells_or_without_instances_nothing_is_chosen() -> None:
    scores = DecodingScores([DecodingParams(threshold=0.37)])
    assert scores.best() is None
    image, truth = np.zeros((9, 9), np.float32), np.zeros((9, 9), np.int32)
    scores.add(image, truth)
    scores.add(image, truth + 1, np.ones((9, 9), bool))
    assert scores.best() is None
    none = DecodingParams(instances="none")
    assert candidate_decodings(none) == (none,)


def test_components_have_a_threshold_alone() -> None:
    base = DecodingParams(instances="components")
    candidates = candidate_decodings(base)
    assert {replace(c, threshold=0.5, min_area_px=20) for c in candidates} == {base}
    assert scores_of(*candidates, images=1).best() in candidates


def test_ignored_pixels_are_passed_on_and_batches_pooled() -> None:
    foreground, truth = cells(0)
    ignored = np.zeros(truth.shape, bool)
    ignored[:60] = True
    scores = DecodingScores([DecodingParams()])
    scores.add(foreground, truth, ignored)
    assert scores.ap() == average_precision(truth, separate_instances(foreground), ignored=ignored)
    assert scores.num_cells == len(set(truth[60:].ravel()) - {0})
    twice = DecodingScores([DecodingParams()])
    twice.add(np.stack([foreground] * 2), np.stack([truth] * 2))
    both = twice.ap()
    assert both == scores_of(DecodingParams(), images=1).ap()
    assert list(both) == list(THRESHOLDS)
    assert all(a >= b for a, b in pairwise(both.values()))


def test_shapes_that_differ_are_refused() -> None:
    scores = DecodingScores([DecodingParams()])
    with pytest.raises(InvalidInput, match=r"probabilities have shape \(3, 4\), true labels \(4, 3\)"):
        scores.add(np.zeros((3, 4), np.float32), np.zeros((4, 3), np.int32))
    with pytest.raises(InvalidInput, match="NaN"):
        scores.add(np.full((3, 4), np.nan, np.float32), np.zeros((3, 4), np.int32))


def test_tiny_cells_are_kept_by_the_choice_and_counted_in_validation() -> None:
    truth = np.zeros((60, 60), np.int32)
    for k, (y, x) in enumerate(np.ndindex(7, 7)):
        truth[4 + 8 * y : 7 + 8 * y, 4 + 8 * x : 7 + 8 * x] = k + 1  # 9 pixels each
    foreground = np.where(truth > 0, 0.9, 0.1)
    usual, every = DecodingScores([DecodingParams()]), DecodingScores(candidate_decodings(DecodingParams()))
    for scores in (usual, every):
        scores.add(foreground, truth)
    assert usual.ap()[0.5] == 0
    best = every.best()
    assert best is not None
    assert separate_instances(foreground, best).max() == truth.max()
    scores = DecodingScores(validation_decodings())
    scores.add(foreground, truth)
    assert scores.highest_ap() == 1
    assert validation_decodings()[0] == DecodingParams()
