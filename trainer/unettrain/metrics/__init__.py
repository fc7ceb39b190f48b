"""Segmentation metrics, written from their definitions: arrays in, numbers out."""

from unettrain.metrics.instances import Matching, average_precision, label_components, match_instances
from unettrain.metrics.overlap import Overlap, overlap

__all__ = ["Matching", "Overlap", "average_precision", "label_components", "match_instances", "overlap"]
