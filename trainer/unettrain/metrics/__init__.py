"""Segmentation metrics of arrays, written from their definitions."""

from unettrain.metrics.cell_errors import CellErrors, CellKind, ErrorCounts, cell_errors
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
    "CellErrors",
    "CellKind",
    "ErrorCounts",
    "Matching",
    "Overlap",
    "Scores",
    "average_precision",
    "cell_errors",
    "foreground",
    "label_components",
    "match_at_thresholds",
    "match_instances",
    "number_per_slice",
    "overlap",
    "pooled",
    "score",
    "score_instances",
]
