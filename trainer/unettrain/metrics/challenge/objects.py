"""Rand error, V_rand and V_info of the challenge: how the objects of a proposal overlap the cells of labels.

With a_i the pixels of cell i, b_j those of object j within cells, c_ij those that both share, and z those of cells
where the proposal has no object; each pixel of z counts as an object of its own. Pixels outside of cells do not count.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.equal_values import label_equal_values
from unetprep.kernels.object_overlaps import Overlaps, PixelsByObject, overlaps, pixels_by_object
from unetprep.kernels.strip_components import label_strip
from unetprep.kernels.thinning import thin_background
from unettrain.errors import InvalidInput
from unettrain.metrics.challenge.inputs import Pair, checked_pair, checked_thresholds
from unettrain.metrics.challenge.threshold_scores import ThresholdScores

RandVariant = Literal["official", "2014"]
Counts = tuple[float, float, float]


class Sizes(NamedTuple):
    """Pixel counts as float64: a_i, b_j, c_ij and z."""

    cells: NDArray[np.float64]
    objects: NDArray[np.float64]
    shared: NDArray[np.float64]
    outside: float


def rand_error(
    labels: NDArray[Any],
    proposal: NDArray[Any],
    thresholds: Sequence[float] | None = None,
    *,
    variant: RandVariant = "official",
) -> float:
    """The challenge's Rand error, without thinning: 1 - the highest F score over thresholds.

    See `rand_error_curve`, of which it is the `best`.
    """
    return rand_error_curve(labels, proposal, thresholds, variant=variant).best


def rand_error_curve(
    labels: NDArray[Any],
    proposal: NDArray[Any],
    thresholds: Sequence[float] | None = None,
    *,
    variant: RandVariant = "official",
) -> ThresholdScores:
    """Rand error at each threshold, of the pixels of cells: 1 - F, 0 (best) to 1; sums are pooled over slices.

    Precision (sum c_ij^2 + z) / (sum b_j^2 + z), recall (sum c_ij^2 + z) / sum a_i^2, with the sizes that the module
    defines. `variant` "2014" is that of the challenge before 2015: pairs n (n - 1) / 2 instead of squares, without z.

    `labels` are integers >= 0 or bool (y, x) or (slices, y, x): each 4-connected component of a number > 0 is a cell.
    (The challenge's labels are masks. Numbers that touch remain different cells here.) `proposal`, of the same shape,
    is the probability of a cell, floating point from 0 to 1, or a mask; its objects are the 4-connected components of
    what is greater than the threshold. `thresholds` are ascending, by default those of the challenge: 0, 0.1, ..., 1.

    Labels without a cell: 0, as no pixel counts. No object: the precision is 1, and the recall z / sum a_i^2 (variant
    "2014": 0). skimage.metrics.adapted_rand_error is restricted to cells too, but takes pairs, and the pixels of z as
    one object. Raises InvalidInput for other inputs, labels < 0 included.
    """
    if variant not in ("official", "2014"):
        raise InvalidInput(f"variant is {variant!r}", allowed="'official' or '2014'")
    sums = _rand_sums if variant == "official" else _rand_pairs
    pair, chosen = checked_pair(labels, proposal, "rand_error"), checked_thresholds(thresholds)
    return ThresholdScores("rand_error", chosen, _count(pair, chosen, False, [sums])[0])


def v_rand(
    labels: NDArray[Any], proposal: NDArray[Any], thresholds: Sequence[float] | None = None, *, thin: bool = True
) -> float:
    """The challenge's V_rand (official since 2015), 0 to 1 (best): the highest F score over thresholds.

    See `v_rand_curve`, of which it is the `best`. Raises InvalidInput also where no slice of the labels has a cell.
    """
    return _defined(v_rand_curve(labels, proposal, thresholds, thin=thin))


def v_rand_curve(
    labels: NDArray[Any], proposal: NDArray[Any], thresholds: Sequence[float] | None = None, *, thin: bool = True
) -> ThresholdScores:
    """V_rand at each threshold, 0 to 1 (best): F of the squared overlaps of a slice, averaged over slices.

    Inputs, precision and recall are those of `rand_error_curve`, but the membranes of the proposal are thinned to
    lines of one pixel first (`thin`), so that their width has little effect. A proposal of membrane alone becomes one
    object. Slices whose labels have no cell are undefined (NaN in `per_slice`), and left out of the average.
    """
    return _v_curve("v_rand", labels, proposal, thresholds, thin)


def v_info(
    labels: NDArray[Any], proposal: NDArray[Any], thresholds: Sequence[float] | None = None, *, thin: bool = True
) -> float:
    """The challenge's V_info (official since 2015), 0 to 1 (best): the highest F score over thresholds.

    See `v_info_curve`, of which it is the `best`. Raises InvalidInput also where no slice of the labels has a cell.
    """
    return _defined(v_info_curve(labels, proposal, thresholds, thin=thin))


def v_info_curve(
    labels: NDArray[Any], proposal: NDArray[Any], thresholds: Sequence[float] | None = None, *, thin: bool = True
) -> ThresholdScores:
    """V_info at each threshold, 0 to 1 (best): F of the mutual information of a slice, averaged over slices.

    Precision I / H(labels), recall I / H(proposal). Inputs and thinning are those of `v_rand_curve`. As in the
    challenge, a slice scores 0 if either entropy is 0: one cell, or one object, even if they are equal. Slices whose
    labels have no cell are undefined (NaN in `per_slice`), and left out of the average. The variation of information
    (skimage.metrics.variation_of_information) is the sum of the conditional entropies of the same tables, not a score.
    """
    return _v_curve("v_info", labels, proposal, thresholds, thin)


def v_curves(pair: Pair, thresholds: NDArray[np.float64]) -> tuple[ThresholdScores, ThresholdScores]:
    """V_rand and V_info at each threshold; the proposal is thinned once for both."""
    by_rand, by_info = _count(pair, thresholds, True, [V_COUNTS["v_rand"], V_COUNTS["v_info"]])
    return ThresholdScores("v_rand", thresholds, by_rand), ThresholdScores("v_info", thresholds, by_info)


def _v_curve(
    metric: str, labels: NDArray[Any], proposal: NDArray[Any], thresholds: Sequence[float] | None, thin: bool
) -> ThresholdScores:
    pair, chosen = checked_pair(labels, proposal, metric), checked_thresholds(thresholds)
    return ThresholdScores(metric, chosen, _count(pair, chosen, thin, [V_COUNTS[metric]])[0])


def _defined(scores: ThresholdScores) -> float:
    if np.isnan(scores.best):
        raise InvalidInput(
            f"{scores.metric} is undefined: the labels have no cell", allowed="labels with numbers > 0 in some slice"
        )
    return scores.best


def _count(
    pair: Pair, thresholds: NDArray[np.float64], thin: bool, formulas: Sequence[Callable[[Sizes], Counts]]
) -> NDArray[np.float64]:
    """Counts of each formula (formulas, thresholds, slices, 3)."""
    counts = np.empty((len(formulas), len(thresholds), pair.num_slices, 3))
    for z, (labels, probability) in enumerate(pair.slices()):
        cells, num_cells = _label_cells(labels)
        truth = pixels_by_object(cells, num_cells)
        before = None
        for t, threshold in enumerate(thresholds):
            mask = probability > threshold
            if before is not None and np.array_equal(mask, before):
                counts[:, t, z] = counts[:, t - 1, z]
                continue
            sizes = _sizes(truth, _overlaps(truth, mask, thin))
            counts[:, t, z] = [formula(sizes) for formula in formulas]
            before = mask
    return counts


def _label_cells(labels: NDArray[Any]) -> tuple[NDArray[np.int32], int]:
    if labels.dtype.kind == "b" or not have_contacts(labels):
        return label_strip((labels > 0).view(np.uint8), 1, False)
    return label_equal_values(labels)


def have_contacts(labels: NDArray[Any]) -> bool:
    """Whether different numbers > 0 of labels (y, x) touch, 4-connected."""
    pairs = ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1]))
    return any(bool(((a != b) & (a > 0) & (b > 0)).any()) for a, b in pairs)


def _overlaps(truth: PixelsByObject, mask: NDArray[np.bool_], thin: bool) -> Overlaps:
    objects, num = label_strip(mask.view(np.uint8), 1, False)
    return overlaps(truth, thin_background(objects) if thin else objects, max(num, 1))


def _sizes(truth: PixelsByObject, found: Overlaps) -> Sizes:
    proposed = found.proposed.astype(np.float64)
    return Sizes(np.diff(truth.starts).astype(np.float64), proposed[1:], found.pairs.astype(np.float64), proposed[0])


def _rand_sums(sizes: Sizes) -> Counts:
    squares = (float(np.square(part).sum()) for part in (sizes.shared, sizes.objects, sizes.cells))
    shared, objects, cells = squares
    return shared + sizes.outside, objects + sizes.outside, cells


def _rand_pairs(sizes: Sizes) -> Counts:
    shared, objects, cells = (
        float((part * (part - 1)).sum() / 2) for part in (sizes.shared, sizes.objects, sizes.cells)
    )
    return shared, objects, cells


def _of_cells(formula: Callable[[Sizes], Counts]) -> Callable[[Sizes], Counts]:
    """NaN where the labels have no cell."""
    return lambda sizes: formula(sizes) if len(sizes.cells) else (np.nan, np.nan, np.nan)


def _information(sizes: Sizes) -> Counts:
    """Mutual information, and the entropies of the labels and of the proposal, in nats."""
    num = float(sizes.cells.sum())
    outside = sizes.outside / num * np.log(num)  # as each of these pixels is an object of its own
    joint, proposed = _entropy(sizes.shared / num) + outside, _entropy(sizes.objects / num) + outside
    true = _entropy(sizes.cells / num)
    return max(0.0, true + proposed - joint), true, proposed


def _entropy(shares: NDArray[np.float64]) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum())


V_COUNTS: dict[str, Callable[[Sizes], Counts]] = {"v_rand": _of_cells(_rand_sums), "v_info": _of_cells(_information)}
