"""Image files in folders, and labels, as lint, evaluation and import open them."""

from unetprep.sources.folders import expand as expand
from unetprep.sources.labels import as_labels
from unetprep.sources.opening import open_source
from unetprep.sources.source import Choice, Choices, Source


def open_labels(path: str, chosen: Choices | None = None) -> Source:
    """Open labels, as integers of one channel; see `as_labels`."""
    choice = Choice.of_labels(chosen) if chosen else Choice(is_labels=True)
    return as_labels(open_source(path, choice), choice.channel)
