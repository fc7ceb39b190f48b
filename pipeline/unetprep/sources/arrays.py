"""Sources in memory: NumPy arrays, and objects that convert to one with `__array__`, such as those of xarray."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.limits import check_shape
from unetprep.sources.source import Choice, Source, guessed_axes, refuse_dtype, with_axes
from unetprep.storage.paths import StrPath


class SupportsArray(Protocol):
    """An object that `numpy.asarray` converts to an array."""

    def __array__(self) -> NDArray[Any]:
        """The values as an array."""
        ...


Inputs = StrPath | Sequence[StrPath | Source] | SupportsArray | Mapping[str, SupportsArray]
"""Paths of files and folders, or arrays: a single one, or a mapping of names to arrays."""


@dataclass(frozen=True)
class ArraySource(Source):
    """An array in memory. Its path in errors and provenance is "array NAME"."""

    name: str
    pixels: NDArray[Any] = field(compare=False, repr=False)

    @property
    def stem(self) -> str:
        """The name by which images and labels are paired."""
        return self.name

    def at_absolute_path(self) -> Source:
        """The source itself, which has no path."""
        return self

    def place_in_file(self) -> None:
        """None: it is no file."""
        return

    def _read_file(self, box: Box) -> NDArray[Any]:
        return self.pixels[box]


def open_array(name: str, array: SupportsArray, choice: Choice | str = "") -> ArraySource:
    """An array as a source. `choice` may name its axes; by default its `dims` if it has any, else a guess.

    Raises InvalidInput for an unsupported dtype, an empty array, and ambiguous axes.
    """
    pixels = np.asarray(array)
    dims = "".join(map(str, getattr(array, "dims", ())))
    choice = Choice(choice) if isinstance(choice, str) else choice
    known = (dims if set(dims) <= set("czyx") else "") or guessed_axes(pixels.shape)
    known = choice.axes_for(pixels.ndim, known)
    source = ArraySource(f"array {name}", known, pixels.shape, pixels.dtype.name, name, pixels)
    refuse_dtype(source)
    with_axes(source, known)
    check_shape(source.path, source.shape)
    return source


def as_inputs(given: Inputs, name: str = "", choice: Choice | str = "") -> list[str | Source]:
    """Paths as strings, and arrays as sources. `name` is the name of a single array.

    Raises InvalidInput for an array without a name.
    """
    if isinstance(given, str | os.PathLike):
        return [os.fspath(given)] if os.fspath(given) else []
    if isinstance(given, Mapping) and not hasattr(given, "__array__"):
        return [open_array(key, array, choice) for key, array in given.items()]
    if hasattr(given, "__array__"):
        if not (name := name or str(getattr(given, "name", None) or "")):
            raise InvalidInput(
                "an array is given without a name",
                allowed='name="cells", or a mapping of names to arrays',
                hint="the image is stored under this name",
            )
        return [open_array(name, given, choice)]
    return [path if isinstance(path, Source) else os.fspath(path) for path in given]
