"""Opening of image files of all formats, with the checks that hold for each."""

import os
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from unetprep.errors import InvalidInput
from unetprep.sources.formats.table import NAMES, ZARR, ending_of, format_of
from unetprep.sources.limits import UNCHECKED_BYTES, check_memory, check_shape
from unetprep.sources.source import Decode, Source, readable, refuse_dtype, with_axes
from unetprep.sources.urls import is_url, local_path
from unetprep.storage.regular_files import refuse_special
from unetprep.storage.s3_credentials import endpoint_of_environment


def open_source(path: str, axes: str = "", decode: Decode | None = None) -> Source:
    """Open an image file at a path or URL. `axes` overrides the axes in the file.

    `decode` may take the pixels of a small file, since opening it takes as long as reading it.

    Raises InvalidInput if the file is missing, unreadable or of an unknown format, or if its axes are ambiguous;
    Failure if a server does not deliver it.
    """
    path = local_path(path)
    refuse_special(path)
    if not is_url(path) and not os.path.exists(path):
        raise InvalidInput(f"{path} is not there", allowed=f"an image file: {NAMES}")
    with readable(path):
        source = _open(path, decode)
    if is_url(path):
        source = replace(source, endpoint=endpoint_of_environment())
    refuse_dtype(source)
    source = with_axes(source, axes or source.axes)
    check_shape(path, source.shape)
    with readable(path):
        _check_parts(source)
    return source


def _open(path: str, decode: Decode | None) -> Source:
    known = format_of(path)
    if known is None and (is_url(path) or Path(path).is_dir()):
        known = ZARR
    if known is None or (known.is_folder and not is_url(path) and not Path(path).is_dir()):
        raise InvalidInput(f"{path} ends in {ending_of(path)!r}, which is not a supported image format", allowed=NAMES)
    return known.reader.open_file(path, decode)


def _check_parts(source: Source) -> None:
    """Raise InvalidInput if a part that is decoded as a whole, such as a strip or a chunk, does not fit into memory."""
    if prod(source.file_shape) * np.dtype(source.dtype).itemsize > UNCHECKED_BYTES:
        check_memory(source.path, source.part_shape(), source.dtype, "a strip, tile or chunk")
