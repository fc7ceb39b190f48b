"""Image files in folders, and labels, as lint, evaluation and import open them."""

from dataclasses import replace

from unetprep.errors import InvalidInput
from unetprep.sources.folders import expand as expand
from unetprep.sources.naming import IMAGE_ENDING as IMAGE_ENDING
from unetprep.sources.naming import LABEL_ENDING as LABEL_ENDING
from unetprep.sources.naming import name_of as name_of
from unetprep.sources.opening import open_source
from unetprep.sources.source import Source


def open_labels(path: str) -> Source:
    """Open labels, of one channel; see `one_channel`."""
    return one_channel(open_source(path))


def one_channel(labels: Source) -> Source:
    """Labels with the channels of (c, y, x) as slices. Raises InvalidInput for other labels of several channels."""
    if labels.axes == "cyx":
        return replace(labels, axes="zyx")
    if labels.shape[0] != 1:
        raise InvalidInput(
            f"{labels.path} has {labels.shape[0]} channels (shape {labels.file_shape})",
            allowed="label images of one channel, whose values are the numbers of the cells",
            hint="save the labels as numbers, not as colours",
        )
    return labels
