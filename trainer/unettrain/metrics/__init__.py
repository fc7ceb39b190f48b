"""Segmentation metrics of arrays, written from their definitions."""

from unetprep.kernels.topology_mismatches import Mismatch
from unettrain.metrics.challenge.curves import challenge_curves
from unettrain.metrics.challenge.inputs import CHALLENGE_THRESHOLDS
from unettrain.metrics.challenge.objects import (
    rand_error,
    rand_error_curve,
    v_info,
    v_info_curve,
    v_rand,
    v_rand_curve,
)
from unettrain.metrics.challenge.pixels import pixel_error, pixel_error_curve
from unettrain.metrics.challenge.threshold_scores import ThresholdScores
from unettrain.metrics.challenge.warping import warping_error, warping_error_curve, warping_mismatches
from unettrain.metrics.components import label_components
from unettrain.metrics.instances import (
    Matching,
    average_precision,
    match_at_thresholds,
    match_instances,
    number_per_slice,
)
from unettrain.metrics.overlap import Overlap, overlap
from unettrain.metrics.scores import Scores, foreground, pooled, score, score_instances

__all__ = [
    "CHALLENGE_THRESHOLDS",
    "Matching",
    "Mismatch",
    "Overlap",
    "Scores",
    "ThresholdScores",
    "average_precision",
    "challenge_curves",
    "foreground",
    "label_components",
    "match_at_thresholds",
    "match_instances",
    "number_per_slice",
    "overlap",
    "pixel_error",
    "pixel_error_curve",
    "pooled",
    "rand_error",
    "rand_error_curve",
    "score",
    "score_instances",
    "v_info",
    "v_info_curve",
    "v_rand",
    "v_rand_curve",
    "warping_error",
    "warping_error_curve",
    "warping_mismatches",
]
