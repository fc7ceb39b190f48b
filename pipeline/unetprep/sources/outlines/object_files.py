"""Labels from a folder with a mask file for each object."""

import os
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.folders import Folder
from unetprep.sources.opening import open_source
from unetprep.sources.outlines.objects import Overlaps
from unetprep.sources.source import Source
from unetprep.storage.lru_cache import ArrayCache

WHOLE = (slice(None),) * 4
KEPT_BYTES = 2**26  # of compressed labels: an import reads the masks of an image three times, and decodes them once
NUM_COUNTS = 4  # of a folder, 8 bytes each
_kept = ArrayCache(KEPT_BYTES)


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

    @property
    def is_of_objects(self) -> bool:
        """True."""
        return True

    def survey(self) -> Overlaps:
        """Count what is lost."""
        return _drawn(self.path, self.file_shape)[1]

    def _read_file(self, box: Box) -> NDArray[Any]:
        return _drawn(self.path, self.file_shape)[0][box]


def _drawn(path: str, shape: tuple[int, ...]) -> tuple[NDArray[np.int32], Overlaps]:
    """The labels in a folder, and what is lost."""
    with os.scandir(path) as found:
        stats = {entry.name: entry.stat() for entry in found}
    version = tuple(sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats.items()))
    data = zlib.decompress(_kept.get_or_compute((path, version, shape), lambda: _compressed(path, shape)).data)
    objects, shared, hidden, empty = np.frombuffer(data, np.int64, NUM_COUNTS).tolist()
    labels = np.frombuffer(data, np.int32, offset=NUM_COUNTS * 8).reshape(shape)
    return labels, Overlaps(objects, shared, hidden, empty=empty)


def _compressed(path: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The counts of overlaps and the labels of a folder, compressed."""
    labels, shared, empty = np.zeros(shape, np.int32), 0, 0
    names = Folder(path).images
    for number, name in enumerate(names, 1):
        mask = _mask(os.path.join(path, name), shape)
        shared += int(np.count_nonzero(labels[mask]))
        empty += not mask.any()
        labels[mask] = number
    seen = len(np.unique(labels[labels > 0]))
    counts = np.array([len(names), shared, len(names) - empty - seen, empty], np.int64)
    return np.frombuffer(zlib.compress(counts.tobytes() + labels.tobytes(), 1), np.uint8)


def _mask(path: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    source = open_source(path)
    if source.shape[1:] != (1, *shape):
        raise InvalidInput(
            f"{path} has {source.shape[2:]} pixels (y, x), and the image of its object has {shape}", allowed="one size"
        )
    return np.asarray(source.read(WHOLE)[:, 0].any(axis=0))
