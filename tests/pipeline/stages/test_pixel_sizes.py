"""Pixel sizes from files to the store, its OME metadata and the weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import unetprep
from tests.pipeline.conftest import LOCAL
from tests.synthetic import cell_image, cell_labels
from unetprep.engine.importing import ImportSummary, import_images
from unetprep.engine.run import run_stage
from unetprep.errors import InvalidInput
from unetprep.params import ImportParams, WeightsParams
from unetprep.sources import Source
from unetprep.sources.cells import Cells
from unetprep.stages import STAGES
from unetprep.store import Store

CELLS = cell_labels((40, 50), 8)
VOLUME = Cells((6, 40, 50), 10, 0.4, 5.0).window((0, 0, 0), (6, 40, 50))
Sizes = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Sized(Source):
    """An array that states a pixel size, as files of microscopes do."""

    pixels: NDArray[Any] = None  # type: ignore[assignment]

    def _read_file(self, box: tuple[slice, ...]) -> NDArray[Any]:
        return self.pixels[box]


def sized(pixels: NDArray[Any], size: Sizes | None, unit: str = "micrometer", name: str = "a") -> Sized:
    axes = "zyx"[-pixels.ndim :]
    return Sized(name, axes, pixels.shape, pixels.dtype.name, pixel_size=size, unit=unit, pixels=pixels)


def imported(
    folder: Path, pairs: list[tuple[Source, Source]], params: ImportParams | None = None
) -> tuple[Store, ImportSummary]:
    url = str(folder / "ds.zarr")
    images, labels = zip(*pairs, strict=True)
    done = import_images(url, images, labels, params or ImportParams(), LOCAL)
    return Store.open(url), done


def pair(
    cells: NDArray[Any], size: Sizes | None, of_labels: Sizes | None = None, unit: str = "micrometer", name: str = "a"
) -> tuple[Source, Source]:
    labels = sized(cells.astype(np.uint16), of_labels, unit, f"{name}_mask")
    return sized(cell_image(cells), size, unit, name), labels


def test_the_size_that_a_file_states_is_stored_and_described(tmp_path: Path) -> None:
    store, done = imported(tmp_path, [pair(VOLUME, (0.5, 0.1, 0.1))], ImportParams(dims=3))
    record = store.record("images/a")
    assert (record["spacing"], record["unit"]) == ([0.5, 0.1, 0.1], "micrometer")
    (multiscale,) = store._document("images/a")["attributes"]["ome"]["multiscales"]  # type: ignore[index]
    assert multiscale["datasets"][0]["coordinateTransformations"][0]["scale"] == [1, 0.5, 0.1, 0.1]
    assert [axis.get("unit") for axis in multiscale["axes"]] == [None, *["micrometer"] * 3]
    assert done.warnings == []


def test_weights_of_a_volume_use_it(tmp_path: Path) -> None:
    store, _ = imported(tmp_path, [pair(VOLUME, (0.5, 0.1, 0.1))], ImportParams(dims=3))
    run_stage(store, STAGES["weights"], WeightsParams(class_weights=(1, 2)), LOCAL)
    expected = unetprep.weight_map(VOLUME, spacing=(5, 1, 1), class_weights=(1, 2))
    np.testing.assert_array_equal(store.read_all("images/a/weights"), expected)


def test_the_labels_state_it_where_the_image_does_not(tmp_path: Path) -> None:
    store, _ = imported(tmp_path, [pair(CELLS, None, (None, 0.2, 0.2))])
    assert store.record("images/a")["spacing"] == [None, 0.2, 0.2]


def test_the_option_has_precedence(tmp_path: Path) -> None:
    params = ImportParams(spacing=(3.0, 2.0), unit="nanometer")
    store, _ = imported(tmp_path, [pair(CELLS, (None, 0.2, 0.2))], params)
    assert (store.record("images/a")["spacing"], store.record("images/a")["unit"]) == ([None, 3, 2], "nanometer")


def test_a_volume_without_a_distance_of_slices_is_said(tmp_path: Path) -> None:
    store, done = imported(tmp_path, [pair(VOLUME, (None, 0.1, 0.1))], ImportParams(dims=3))
    assert "spacing" not in store.record("images/a")
    assert any("no distance of slices, so that its voxels count as cubes" in warning for warning in done.warnings)


def test_sizes_of_image_and_labels_that_differ_are_said(tmp_path: Path) -> None:
    store, done = imported(tmp_path, [pair(CELLS, (None, 0.2, 0.2), (None, 0.4, 0.4))])
    assert store.record("images/a")["spacing"] == [None, 0.2, 0.2]
    assert any("0.4 x 0.4 micrometer, and its image ? x 0.2 x 0.2" in warning for warning in done.warnings)


def test_sizes_that_cannot_be_are_refused_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"a states a pixel size that cannot be used: spacing is 5000,1,1"):
        imported(tmp_path, [pair(VOLUME, (5000, 1, 1))], ImportParams(dims=3))
    assert not (tmp_path / "ds.zarr").exists()


def test_a_stack_holds_images_of_one_pixel_size(tmp_path: Path) -> None:
    sizes = [0.1] * 16 + [0.2] * 17
    pairs = [pair(CELLS, (None, size, size), name=f"{k:02}") for k, size in enumerate(sizes)]
    store, _ = imported(tmp_path, pairs)
    assert [store.record(group)["spacing"][-1] for group in store.groups] == [0.1, 0.2]
    assert [len(store.table(group)["names"]) for group in store.groups] == [16, 17]


def test_lengths_in_a_unit(tmp_path: Path) -> None:
    store, _ = imported(tmp_path, [pair(CELLS, (None, 200.0, 200.0), unit="nanometer")])
    params = WeightsParams(sigma=0.6, lengths="micrometer", class_weights=(1, 2))
    run_stage(store, STAGES["weights"], params, LOCAL)
    found = store.read_all("images/a/weights")[0]
    np.testing.assert_array_equal(
        found, unetprep.weight_map(CELLS, sigma=0.6, spacing=(0.2, 0.2), class_weights=(1, 2))
    )
    np.testing.assert_allclose(found, unetprep.weight_map(CELLS, sigma=3, class_weights=(1, 2)), atol=2e-6)


def test_lengths_need_a_known_size(tmp_path: Path) -> None:
    store, _ = imported(tmp_path, [pair(CELLS, None)])
    with pytest.raises(InvalidInput, match=r"lengths is micrometer, but the pixel size of images/a in .* is not known"):
        run_stage(store, STAGES["weights"], WeightsParams(sigma=0.6, lengths="micrometer"), LOCAL)
    with pytest.raises(InvalidInput, match="in whose unit lengths are already"):
        WeightsParams(spacing=(1.0, 1.0), lengths="micrometer")
    (tmp_path / "b").mkdir()
    store, _ = imported(tmp_path / "b", [pair(CELLS, (None, 1e-6, 1e-6))])
    with pytest.raises(InvalidInput, match="sigma is 5: its term would reach"):
        run_stage(store, STAGES["weights"], WeightsParams(lengths="micrometer"), LOCAL)
