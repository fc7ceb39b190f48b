"""Segmentation metrics of arrays, written from their definitions. Arguments are labels first, then the proposal."""

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
    "AdaptedRand",
    "ContingencyTable",
    "Matching",
    "Overlap",
    "Scores",
    "Seg",
    "VariationOfInformation",
    "adapted_rand",
    "average_precision",
    "contingency_table",
    "dice",
    "foreground",
    "iou",
    "label_components",
    "match_at_thresholds",
    "match_instances",
    "overlap",
    "pooled",
    "score",
    "score_instances",
    "seg",
    "variation_of_information",
]
