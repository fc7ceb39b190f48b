"""HTML report of a run: data, training, predictions and scores on one self-contained page."""

from unettrain.reporting.write import Report, report

__all__ = ["Report", "report"]
