"""HTML report of a run: data, training, predictions and scores on one self-contained page."""

from unettrain.reporting.write import Report, write_report

__all__ = ["Report", "write_report"]
