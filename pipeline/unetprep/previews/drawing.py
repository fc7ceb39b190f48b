"""Previews as figures: a window of an image with its weights, and a tile deformed by fields."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from unetprep.previews.fields import FieldsPreview, select_fields
from unetprep.previews.fields_figure import compose_fields
from unetprep.previews.png_files import PICTURE
from unetprep.previews.weights import Preview, View, select
from unetprep.previews.weights_figure import as_png, compose
from unetprep.storage.output import Output, check_output
from unetprep.storage.paths import StrPath


@dataclass(frozen=True)
class PreviewFigure:
    """A matplotlib `figure`, made without pyplot, and its data (`shown`)."""

    figure: Figure
    shown: Preview


@dataclass(frozen=True)
class FieldsFigure:
    """A matplotlib `figure`, made without pyplot, and its data (`shown`)."""

    figure: Figure
    shown: FieldsPreview


def preview(
    store: StrPath,
    image: str | None = None,
    *,
    z: int | None = None,
    at: tuple[int, int] | None = None,
    size_px: int | None = None,
    out: StrPath | None = None,
    overwrite: bool = False,
) -> PreviewFigure:
    """Draw a window of an image with its cells, target, distances and weights, as in Fig. 3 of the paper.

    Defaults: the first image, its middle slice, and a window of 512 pixels where the border term is largest. `at` is
    the upper left corner (y, x). With `out` the figure is also written to a PNG file, whose path is checked before data
    are read; `overwrite` replaces an earlier preview.

    Raises InvalidInput if the image, slice or corner does not exist, or if the weights have not been computed.

        unetprep.preview("ds.zarr", size_px=256).figure
    """
    url, output = os.fspath(store), _output(out, store, overwrite)
    shown = select(url, View(image, z, at, size_px))
    figure = compose(shown)
    if output:
        output.write_bytes(as_png(figure))
    return PreviewFigure(figure, shown)


def preview_fields(
    store: StrPath,
    fields: Sequence[int] = (0, 1, 2),
    image: str | None = None,
    *,
    z: int | None = None,
    at: tuple[int, int] | None = None,
    size_px: int | None = None,
    out: StrPath | None = None,
    overwrite: bool = False,
) -> FieldsFigure:
    """Draw a checkerboard and a tile of an image with its cells, undeformed and deformed by some fields.

    Defaults: the first image, its middle slice, and a tile in the middle, of the size for which the fields were
    computed. `out` and `overwrite` as in `preview`.

    Raises InvalidInput if the image, slice, corner or a field does not exist.
    """
    url, output = os.fspath(store), _output(out, store, overwrite)
    shown = select_fields(url, View(image, z, at, size_px), tuple(fields))
    figure = compose_fields(shown)
    if output:
        output.write_bytes(as_png(figure))
    return FieldsFigure(figure, shown)


def _output(out: StrPath | None, store: StrPath, overwrite: bool) -> Output | None:
    if out is None:
        return None
    return check_output(os.fspath(out), PICTURE, overwrite=overwrite, inputs=(os.fspath(store),))
