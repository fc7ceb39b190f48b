"""The report of a run: one HTML page that shows the data, the training, and what the network is good for."""

from unettrain.report.write import Report, write_report

__all__ = ["Report", "write_report"]
