"""Labels from a folder with a mask file for each object."""

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.folders import Folder
from unetprep.sources.opening import open_source
from unetprep.sources.outlines.objects import Overlaps
from unetprep.sources.source import Source

WHOLE = (slice(None),) * 4


@dataclass(frozen=True)
class ObjectFolder:
    """The labels of an image as a folder of masks."""

    path: str

    def open_for(self, image: Source) -> "ObjectFiles":
        """The labels, of the size of the image. Raises InvalidInput if it is a stack."""
        _, z, y, x = image.shape
        if z != 1:
            raise InvalidInput(
                f"{image.path} has {z} slices, and {self.path} a mask for each object", allowed="2D images"
            )
        return ObjectFiles(self.path, "yx", (y, x), "int32")


@dataclass(frozen=True)
class ObjectFiles(Source):
    """A folder of masks. What is not 0 in the first, by name, is label 1, and so on; later ones lie on top."""

    @property
    def is_decoded_whole(self) -> bool:
        """True."""
        return True

    def survey(self) -> Overlaps:
        """Read them all once, and count what is lost."""
        return _drawn(self.path, os.stat(self.path).st_mtime_ns, self.file_shape)[1]

    def _read_file(self, box: Box) -> NDArray[Any]:
        return _drawn(self.path, os.stat(self.path).st_mtime_ns, self.file_shape)[0][box]


@lru_cache(maxsize=4)
def _drawn(path: str, changed: int, shape: tuple[int, int]) -> tuple[NDArray[np.int32], Overlaps]:
    """The labels in a folder, and what is lost."""
    labels, shared, empty = np.zeros(shape, np.int32), 0, 0
    names = Folder(path).images
    for number, name in enumerate(names, 1):
        mask = _mask(os.path.join(path, name), shape)
        shared += int(np.count_nonzero(labels[mask]))
        empty += not mask.any()
        labels[mask] = number
    seen = len(np.unique(labels[labels > 0]))
    return labels, Overlaps(len(names), shared, len(names) - empty - seen, empty=empty)


def _mask(path: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    source = open_source(path)
    if source.shape[1:] != (1, *shape):
        raise InvalidInput(
            f"{path} has {source.shape[2:]} pixels (y, x), and the image of its object has {shape}", allowed="one size"
        )
    return np.asarray(source.read(WHOLE)[:, 0].any(axis=0))
