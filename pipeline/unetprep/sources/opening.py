"""Opening of image files of all formats, with the checks that hold for each."""

import os
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from unetprep.errors import InvalidInput
from unetprep.sources.formats.table import N5, NAMES, ZARR, Format, ending_of, format_of, split_name
from unetprep.sources.limits import UNCHECKED_BYTES, check_memory, check_shape
from unetprep.sources.source import Choice, Decode, Source, readable, refuse_dtype, with_axes
from unetprep.sources.urls import is_url, local_path
from unetprep.storage.regular_files import refuse_special
from unetprep.storage.s3_credentials import endpoint_of_environment

N5_ATTRIBUTES = "attributes.json"  # in the folder of a dataset


def open_source(path: str, choice: Choice | str = "", decode: Decode | None = None) -> Source:
    """Open an image file at a path or URL; FILE:/NAME is an image inside of a file, as of HDF5.

    `choice` says which image of the file, or only its axes. `decode` may take the pixels of a small file, since opening
    it takes as long as reading it.

    Raises InvalidInput if the file is missing, unreadable or of an unknown format, or if its axes are ambiguous;
    Failure if a server does not deliver it.
    """
    path = local_path(path)
    choice = Choice(choice) if isinstance(choice, str) else choice
    known = _format_at(path)
    reader = known.reader(path)
    with readable(path):
        source = reader.open_file(path, choice, decode)
    if not known.has_several:
        choice.pick_level(path, [source.file_shape])
        choice.pick(path, "images", [" x ".join(map(str, source.file_shape))])
    if is_url(path):
        source = replace(source, endpoint=endpoint_of_environment())
    refuse_dtype(source)
    source = with_axes(source, choice.axes_for(len(source.file_shape), source.axes))
    check_shape(path, source.shape)
    with readable(path):
        _check_parts(source)
    return source


def _format_at(path: str) -> Format:
    """The format of an existing file. Raises InvalidInput for a missing, special or unknown file."""
    file, _ = split_name(path)
    refuse_special(file)
    if not is_url(file) and not os.path.exists(file):
        raise InvalidInput(f"{file} is not there", allowed=f"an image file: {NAMES}")
    known, is_folder = format_of(file), not is_url(file) and Path(file).is_dir()
    if is_folder and (known is None or not known.is_folder):
        return N5 if Path(file, N5_ATTRIBUTES).exists() else ZARR
    if known is None and is_url(file):
        return ZARR
    if known is None or (known.is_folder and not is_folder and not is_url(file)):
        raise InvalidInput(
            f"{file} ends in {ending_of(file)!r}, which is not a supported image format",
            allowed=NAMES,
            hint="unetprep formats lists the formats, and how to install the packages for more",
        )
    return known


def _check_parts(source: Source) -> None:
    """Raise InvalidInput if a part that is decoded as a whole, such as a strip or a chunk, does not fit into memory."""
    if prod(source.file_shape) * np.dtype(source.dtype).itemsize > UNCHECKED_BYTES:
        check_memory(source.path, source.part_shape(), source.dtype, "a strip, tile or chunk")
