import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.pipeline.sources.formats.samples import PLANE, VOLUME, WHOLE, write_ome_zarr
from unetprep.errors import InvalidInput
from unetprep.params import ImportParams
from unetprep.sources import open_source
from unetprep.sources.layouts.pairs import find_pairs
from unetprep.sources.pairing import open_labels
from unetprep.sources.source import Choice


def image(path: Path, data: np.ndarray, axes: Any, version: str = "0.4", **more: Any) -> str:
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    group.create_array("0", data=data, chunks=(16,) * data.ndim)
    group.attrs["multiscales"] = [{"version": version, "datasets": [{"path": "0"}], **({"axes": axes} if axes else {})}]
    group.attrs.update(more)
    return str(path)


def test_level_and_pixel_size(tmp_path: Path) -> None:
    write_ome_zarr(tmp_path / "x.zarr")
    path = str(tmp_path / "x.zarr")
    source = open_source(path)
    assert (source.shape, source.pixel_size, source.unit) == ((1, 5, 40, 30), (0.5, 0.1, 0.1), "micrometer")
    half = open_source(path, Choice(level=1))
    np.testing.assert_array_equal(half.read(WHOLE)[0], VOLUME[:, ::2, ::2])
    assert half.pixel_size == (0.5, 0.2, 0.2)
    with pytest.raises(InvalidInput, match=r"(?s)no level 2.*0: 0, 1: 1"):
        open_source(path, Choice(level=2))


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_old_versions_have_axes_that_they_do_not_name(tmp_path: Path, version: str) -> None:
    path = image(tmp_path / "x.zarr", VOLUME[None, :2, None], None, version)
    source = open_source(path)
    assert source.shape == (2, 1, 40, 30)
    np.testing.assert_array_equal(source.read(WHOLE)[:, 0], VOLUME[:2])


@pytest.mark.parametrize("axes", [["y", "x"], [{"name": None}, {"name": None}], [{"name": "Y"}, {"name": "X"}]])
def test_axes_as_letters_and_without_names(tmp_path: Path, axes: Any) -> None:
    np.testing.assert_array_equal(open_source(image(tmp_path / "x.zarr", PLANE, axes)).read(WHOLE)[0, 0], PLANE)


def test_arrays_without_names_of_axes(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "x.zarr"), data=VOLUME, dimension_names=[None, None, None])
    assert open_source(str(tmp_path / "x.zarr")).axes == "zyx"


def add_labels(path: str, *names: str) -> None:
    labels = zarr.open_group(path, mode="a", zarr_format=2).create_group("labels")
    labels.attrs["labels"] = list(names)
    for i, name in enumerate(names):
        image(Path(path, "labels", name), (PLANE % 7 + i).astype(np.int32), [{"name": "y"}, {"name": "x"}])


def test_the_labels_of_an_image_are_taken_and_several_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = image(tmp_path / "x.zarr", PLANE, ["y", "x"])
    with pytest.raises(InvalidInput, match="is given as an image and as its labels"):
        find_pairs([path], [path])
    add_labels(path, "cells")
    with caplog.at_level(logging.WARNING):
        ((_, pixels, labels),) = find_pairs([path], [path])
    assert "labels/cells" in caplog.text
    assert pixels is not None
    np.testing.assert_array_equal(pixels.read(WHOLE)[0, 0], PLANE)
    np.testing.assert_array_equal(labels.read(WHOLE)[0, 0], PLANE % 7)
    other = image(tmp_path / "y.zarr", PLANE, ["y", "x"])
    add_labels(other, "cells", "nuclei")
    with pytest.raises(InvalidInput, match=r"(?s)2 label images.*labels/cells, .*labels/nuclei"):
        open_labels(other)


def test_images_of_bioformats2raw_are_series(tmp_path: Path) -> None:
    root = zarr.open_group(str(tmp_path / "x.zarr"), mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    for k in range(2):
        image(tmp_path / "x.zarr" / str(k), VOLUME[k], ["y", "x"])
    with pytest.raises(InvalidInput, match="holds 2 images"):
        open_source(str(tmp_path / "x.zarr"))
    params = ImportParams(series=1)
    found = open_source(str(tmp_path / "x.zarr"), Choice.of_images(params))
    np.testing.assert_array_equal(found.read(WHOLE)[0, 0], VOLUME[1])
