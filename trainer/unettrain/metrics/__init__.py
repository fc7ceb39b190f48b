"""Segmentation metrics, written from their definitions: arrays in, numbers out."""

from unettrain.metrics.components import label_components
from unettrain.metrics.instances import (
    Matching,
    average_precision,
    match_at_thresholds,
    match_instances,
    number_per_slice,
)
from unettrain.metrics.overlap import Overlap, overlap

__all__ = [
    "Matching",
    "Overlap",
    "average_precision",
    "label_components",
    "match_at_thresholds",
    "match_instances",
    "number_per_slice",
    "overlap",
]
