"""Pixel sizes that predictions take over from the files of their images.

Besides the sizes of `Source.pixel_size`, those are the resolution tags of TIFF files, so that a prediction keeps them.
A scale of OME-Zarr without unit is none.
"""

from dataclasses import dataclass

import tifffile

from unetprep.sources.formats.tiff import TiffSource
from unetprep.sources.formats.tiff_images import read_resolution
from unetprep.sources.formats.tiff_parts import open_tiff
from unetprep.sources.formats.zarr_files import ZarrSource
from unetprep.sources.source import PixelSize, Source
from unetprep.sources.urls import File, is_url


@dataclass(frozen=True)
class Calibration:
    """Pixel sizes along z, y and x that an image file states. `z` is None if only y and x are calibrated.

    `unit` is a name such as "micrometer", or empty if sizes have no unit.
    """

    z: float | None
    y: float
    x: float
    unit: str


def read_calibration(source: Source) -> Calibration | None:
    """The pixel sizes in the file of an image; None if it has none."""
    size, unit = source.pixel_size, source.unit
    if isinstance(source, ZarrSource) and not unit and not source.is_measured:
        return None
    if size is None and isinstance(source, TiffSource):
        size, unit = _resolution(source)
    if size is None or size[1] is None or size[2] is None:
        return None
    return Calibration(size[0], size[1], size[2], unit)


def _resolution(source: TiffSource) -> tuple[PixelSize | None, str]:
    if is_url(source.path):
        return read_resolution(open_tiff(File.at(source.path, source.endpoint)).tiff)
    with tifffile.TiffFile(source.path) as tiff:
        return read_resolution(tiff)
