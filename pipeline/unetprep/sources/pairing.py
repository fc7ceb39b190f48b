"""Pairing of images and labels by file name."""

from collections.abc import Sequence

from unetprep.params import LayoutParams
from unetprep.sources.folders import expand as expand
from unetprep.sources.layouts.data_set import OpenFile, Pair
from unetprep.sources.layouts.data_set import one_channel as one_channel
from unetprep.sources.layouts.pairs import of_inputs
from unetprep.sources.naming import IMAGE_ENDING as IMAGE_ENDING
from unetprep.sources.naming import LABEL_ENDING as LABEL_ENDING
from unetprep.sources.naming import name_of as name_of
from unetprep.sources.opening import open_source
from unetprep.sources.source import Source


def find_pairs(
    images: Sequence[str | Source],
    labels: Sequence[str | Source],
    axes: str = "",
    open_file: OpenFile = open_source,
) -> list[Pair]:
    """(name, image, labels) for every label image; the image is None if no images are given.

    A single image is paired with a single label image, whatever their names; several by `naming.match`. Raises
    InvalidInput if one has no partner, or if the sizes of a pair differ.
    """
    return of_inputs(images, labels, LayoutParams()).open(axes, open_file)


def open_labels(path: str) -> Source:
    """Open labels, of one channel; see `one_channel`."""
    return one_channel(open_source(path))
