from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.pipeline.conftest import LOCAL, save
from tests.pipeline.sources.formats.samples import write_n5
from tests.synthetic import cell_labels
from unetprep.engine.importing import import_images
from unetprep.errors import InvalidInput
from unetprep.linting.linter import lint
from unetprep.params import ImportParams, LintParams
from unetprep.sources.formats.npy import NpySource
from unetprep.sources.layouts.pairs import find_pairs
from unetprep.sources.opening import open_source
from unetprep.sources.pairing import open_labels
from unetprep.sources.source import Choice
from unetprep.store import Store

WHOLE = (slice(None),) * 4
LABELS = cell_labels((30, 40), 8).astype(np.uint8)


@pytest.mark.parametrize("alpha", [None, 255, 7])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_grey_that_was_saved_as_colours_is_grey(tmp_path: Path, alpha: int | None, ending: str) -> None:
    pixels = np.dstack([LABELS] * 3 + ([np.full_like(LABELS, alpha)] if alpha else []))
    if ending == "png":
        Image.fromarray(pixels).save(tmp_path / "x.png")
    else:
        extra = ["unassalpha"] if alpha else []
        tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="rgb", extrasamples=extra)
    np.testing.assert_array_equal(open_labels(str(tmp_path / f"x.{ending}")).read(WHOLE)[0, 0], LABELS)


def test_whole_numbers_that_were_saved_as_real_numbers_are_labels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", LABELS.astype(np.float32), imagej=True)
    source = open_labels(str(tmp_path / "x.tif"))
    assert source.dtype == "int32"
    np.testing.assert_array_equal(source.read(WHOLE)[0, 0], LABELS)
    url = str(tmp_path / "ds.zarr")
    import_images(url, [], [str(tmp_path / "x.tif")], ImportParams(), LOCAL)
    np.testing.assert_array_equal(Store.open(url).array("images/x/labels/instances/instances")[0], LABELS)


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, 2.0**31])
def test_other_real_numbers_are_refused_with_value_and_place(tmp_path: Path, value: float) -> None:
    labels = LABELS.astype(np.float32)
    labels[11, 23] = value
    path = save(tmp_path / "x.npy", labels)
    with pytest.raises(InvalidInput, match=rf"{value} at \(z, y, x\) = \(0, 11, 23\)"):
        import_images(str(tmp_path / "ds.zarr"), [], [path], ImportParams(), LOCAL)


def test_a_channel_of_labels_is_chosen(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.stack([LABELS, LABELS % 3]), imagej=True, metadata={"axes": "CYX"})
    path = str(tmp_path / "x.tif")
    with pytest.raises(InvalidInput, match=r"(?s)has 2 channels.*--label-channel N"):
        open_labels(path)
    for channel in (0, 1):
        found = open_labels(path, ImportParams(label_channel=channel)).read(WHOLE)[0, 0]
        np.testing.assert_array_equal(found, [LABELS, LABELS % 3][channel])
    with pytest.raises(InvalidInput, match="no channel 2"):
        open_labels(path, ImportParams(label_channel=2))
    assert lint([path], LintParams(label_channel=0))[0].cells == len(np.unique(LABELS)) - 1


VOLUME = np.stack([LABELS * (z > 1) for z in range(5)]).astype(np.int32)


@pytest.mark.parametrize(
    ("image", "params"),
    [
        (VOLUME.transpose(2, 1, 0), ImportParams(axes="xyz")),
        (np.stack([VOLUME] * 2).transpose(0, 3, 2, 1), ImportParams(axes="cxyz")),
        (VOLUME, ImportParams(axes="zyx", label_axes="xyz")),
    ],
)
def test_axes_are_those_of_image_and_labels(tmp_path: Path, image: np.ndarray, params: ImportParams) -> None:
    files = save(tmp_path / "x.npy", image.astype(np.uint8)), save(tmp_path / "y.npy", VOLUME.transpose(2, 1, 0))
    ((_, pixels, labels),) = find_pairs([files[0]], [files[1]], params)
    assert pixels is not None
    np.testing.assert_array_equal(pixels.read(WHOLE)[0], VOLUME)
    np.testing.assert_array_equal(labels.read(WHOLE)[0], VOLUME)
    shape = lint([files[1]], LintParams(axes="xyz", dims=3))[0].shape
    assert shape == VOLUME.shape


def test_a_rerun_with_another_choice_reads_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetprep.stages.known_sources.FEWEST_SOURCES", 1)
    tifffile.imwrite(tmp_path / "x.tif", np.stack([LABELS, LABELS * 2]), imagej=True, metadata={"axes": "CYX"})
    for channel in (0, 1):
        import_images(
            str(tmp_path / "ds.zarr"),
            [],
            [str(tmp_path / "x.tif")],
            ImportParams(label_channel=channel),
            LOCAL,
            overwrite=True,
        )
        stored = Store.open(str(tmp_path / "ds.zarr")).array("images/x/labels/instances/instances")[0]
        np.testing.assert_array_equal(stored, LABELS * (channel + 1))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a/x.ome.tif", "x"),
        ("x.nii.gz", "x"),
        ("x.zarr.zip", "x"),
        ("x.h5:/deep/raw", "x"),
        ("http://a/x.0.png", "x.0"),
    ],
)
def test_the_name_of_an_image_is_that_of_its_file(name: str, stem: str) -> None:
    assert NpySource(name, "yx", (1, 1), "uint8").stem == stem


def test_containers_in_folders(tmp_path: Path) -> None:
    write_n5(tmp_path / "labels/x.n5", LABELS, {})
    for path in ("labels", "labels/x.n5"):
        ((name, _, source),) = find_pairs([], [str(tmp_path / path)])
        assert name == "x"
        np.testing.assert_array_equal(source.read(WHOLE)[0, 0], LABELS)


def test_colours_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([LABELS, LABELS * 3, LABELS])).save(tmp_path / "x.png")
    with pytest.raises(InvalidInput, match="has 3 channels") as error:
        open_labels(str(tmp_path / "x.png"))
    assert "slices" not in str(error.value)


@pytest.mark.parametrize("ending", ["png", "tif", "npy"])
def test_labels_of_one_level_belong_to_a_level_of_the_image(tmp_path: Path, ending: str) -> None:
    image = np.kron(LABELS, np.ones((4, 4), np.uint8)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        file.write(image, subifds=1, tile=(16, 16))
        file.write(image[::4, ::4], subfiletype=1, tile=(16, 16))
    labels = save(tmp_path / f"y.{ending}", LABELS)
    path = str(tmp_path / "ds.zarr")
    import_images(path, [str(tmp_path / "x.tif")], [labels], ImportParams(level=1), LOCAL)
    np.testing.assert_array_equal(Store.open(path).read_all("images/x/labels/instances/instances")[0], LABELS)


@pytest.mark.parametrize("ending", ["png", "tif", "npy", "npz"])
@pytest.mark.parametrize("what", ["level", "series"])
def test_what_a_file_does_not_hold_is_refused(tmp_path: Path, ending: str, what: str) -> None:
    path = tmp_path / f"x.{ending}"
    np.savez(path, LABELS) if ending == "npz" else save(path, LABELS)
    with pytest.raises(InvalidInput, match=f"no (--)?{what} 1"):
        open_source(str(path), Choice(level=1) if what == "level" else Choice(series=1))
