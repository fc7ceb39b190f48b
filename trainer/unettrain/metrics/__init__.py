"""Segmentation metrics of arrays, written from unetprep.kernels.topology_mismatches import Mismatch
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
from their definitions. Arguments are labels first, then the proposal."""

from unettrain.metrics.components import label_components
from unettrain.metrics.contingency import ContingencyTable, contingency_table
from unettrain.metrics.instances import (
    Matching,
    Seg,
    average_precision,
    match_at_thresholds,
    match_instances,
    seg,
)
from unettrain.metrics.overlap import Overlap, dice, iou, overlap
from unettrain.metrics.partitions import (
    AdaptedRand,
    VariationOfInformation,
    adapted_rand,
    variation_of_information,
)
from unettrain.metrics.scores import Scores, foreground, pooled, score, score_instances

__all__ = [
    "CHALLENGE_THRESHOLDS",
    "AdaptedRand",
    "ContingencyTable",
    "Matching",
    "Mismatch",
    "Overlap",
    "Scores",
    "Seg",
    "ThresholdScores",
    "VariationOfInformation",
    "adapted_rand",
    "average_precision",
    "challenge_curves",
    "contingency_table",
    "dice",
    "foreground",
    "iou",
    "label_components",
    "match_at_thresholds",
    "match_instances",
    "overlap",
    "pixel_error",
    "pixel_error_curve",
    "pooled",
    "rand_error",
    "rand_error_curve",
    "score",
    "score_instances",
    "seg",
    "v_info",
    "v_info_curve",
    "v_rand",
    "v_rand_curve",
    "variation_of_information",
    "warping_error",
    "warping_error_curve",
    "warping_mismatches",
]
