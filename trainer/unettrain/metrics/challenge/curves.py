"""All metrics of the challenge at once."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from unettrain.metrics.challenge.inputs import checked_pair, checked_thresholds
from unettrain.metrics.challenge.objects import rand_error_curve, v_curves
from unettrain.metrics.challenge.pixels import pixel_error_curve
from unettrain.metrics.challenge.threshold_scores import ThresholdScores
from unettrain.metrics.challenge.warping import warping_error_curve


def challenge_curves(
    labels: NDArray[Any], proposal: NDArray[Any], thresholds: Sequence[float] | None = None
) -> dict[str, ThresholdScores]:
    """Pixel error, Rand error, V_rand, V_info and warping error at each threshold, by the names of their functions.

    Inputs are those of `warping_error_curve`. The proposal is thinned once for V_rand and V_info, which is most of
    their time. Default thresholds are those of each metric: 0, 0.1, ..., 1, and to 0.9 of the warping error.
    """
    warping = warping_error_curve(labels, proposal, thresholds)  # first, as it accepts the least
    v_rand, v_info = v_curves(checked_pair(labels, proposal, "v_rand"), checked_thresholds(thresholds))
    pixels = pixel_error_curve(labels, proposal, thresholds)
    scores = (pixels, rand_error_curve(labels, proposal, thresholds), v_rand, v_info, warping)
    return {score.metric: score for score in scores}
