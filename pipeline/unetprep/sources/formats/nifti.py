"""NIfTI images as sources, read by nibabel. Axes are x, y, z in the file; `pixdim` is the pixel size.

A scaled image (scl_slope) is read as real numbers. The orientation (affine) is not applied: image and labels have the
same one, or their sizes and values would not belong together in any software.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.limits import check_memory
from unetprep.sources.source import Choice, Decode, Source
from unetprep.sources.units import pixel_size_of
from unetprep.sources.urls import File, is_url
from unetprep.sources.whole import decoded

AXES = "xyztc"


@dataclass(frozen=True)
class NiftiSource(Source):
    """A NIfTI image; a compressed one is decoded whole."""

    @property
    def is_decoded_whole(self) -> bool:
        """Whether it is compressed."""
        return self.path.lower().endswith(".gz")

    def _read_file(self, box: Box) -> NDArray[Any]:
        if self.is_decoded_whole:
            return decoded(_decode, self.path, self.endpoint)[box]
        with _translated():
            return np.asarray(_load(self.path).dataobj[box])


def open_file(path: str, choice: Choice, decode: Decode | None) -> NiftiSource:
    """The image of a NIfTI file."""
    if is_url(path):
        raise InvalidInput(
            f"{path} is a NIfTI file at a URL", allowed="local files of this format", hint="copy it first"
        )
    with _translated():
        image = _load(path)
        header, data = image.header, image.dataobj
        shape = tuple(map(int, data.shape))
        is_scaled = (data.slope, data.inter) != (1, 0)
        dtype = "float64" if is_scaled else header.get_data_dtype().newbyteorder("=").name
        sizes = dict(zip("xyz", map(float, header.get_zooms()[:3]), strict=False))
        unit = {"micron": "micrometer", "mm": "millimeter", "meter": "meter"}.get(header.get_xyzt_units()[0], "")
    size, unit = pixel_size_of(sizes, dict.fromkeys("zyx", unit))
    axes = AXES[: len(shape)].replace("t", "z") if len(shape) <= len(AXES) else "?" * len(shape)
    source = NiftiSource(path, axes, shape, dtype, pixel_size=size, unit=unit)
    if source.is_decoded_whole:
        check_memory(path, shape, dtype, "it is decoded whole, and")
    return source


def _load(path: str) -> Any:
    return nibabel.load(path)


def _decode(file: str | File) -> NDArray[Any]:
    with _translated():
        return np.asarray(_load(str(file)).dataobj)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (ImageFileError, HeaderDataError) as error:
        raise ValueError(str(error)) from error
