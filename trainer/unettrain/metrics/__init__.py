"""Segmentation metrics of arrays, written from their definitions. Arguments are the labels first, then the proposal.

The metrics of the EM challenge are loaded when they are first used, as they load numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unettrain.metrics.cell_errors import CellErrors, CellKind, ErrorCounts, cell_errors
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

if TYPE_CHECKING:
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

_EXPORTS = {
    "unetprep.kernels.topology_mismatches": ("Mismatch",),
    "unettrain.metrics.challenge.curves": ("challenge_curves",),
    "unettrain.metrics.challenge.inputs": ("CHALLENGE_THRESHOLDS",),
    "unettrain.metrics.challenge.objects": (
        "rand_error",
        "rand_error_curve",
        "v_info",
        "v_info_curve",
        "v_rand",
        "v_rand_curve",
    ),
    "unettrain.metrics.challenge.pixels": ("pixel_error", "pixel_error_curve"),
    "unettrain.metrics.challenge.threshold_scores": ("ThresholdScores",),
    "unettrain.metrics.challenge.warping": ("warping_error", "warping_error_curve", "warping_mismatches"),
}
_MODULES = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "CHALLENGE_THRESHOLDS",
    "AdaptedRand",
    "CellErrors",
    "CellKind",
    "ContingencyTable",
    "ErrorCounts",
    "Matching",
    "Mismatch",
    "Overlap",
    "Scores",
    "Seg",
    "ThresholdScores",
    "VariationOfInformation",
    "adapted_rand",
    "average_precision",
    "cell_errors",
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


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__]
