"""Files of instances: labels in every format, beside their image, with table, overlay and probabilities."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import yaozarrs
import zarr
from numpy.typing import NDArray
from PIL import Image

from unetprep.sources import open_source
from unetprep.sources.calibration import read_calibration
from unettrain.checkpoint import Checkpoint, save_checkpoint
from unettrain.config import UNetConfig
from unettrain.decoding.arrays import separate_instances
from unettrain.decoding.params import DecodingParams
from unettrain.errors import Conflict, Failure, InvalidInput
from unettrain.model import UNet
from unettrain.prediction import files, windows, writing
from unettrain.prediction.files import predict_files, predict_many
from unettrain.prediction.layout import Layout
from unettrain.prediction.outputs import fingerprint_of, is_prediction, write_labels

NONE = {"instances": "none"}


def blobs(height: int, width: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    return np.asarray(127 + 120 * np.sin(y / 4) * np.sin(x / 5), np.uint8)


def checkpoint(folder: Path, num_classes: int = 2, **more: Any) -> Path:
    """A network whose foreground is, about, where the image is bright: the mean of 3x3 pixels, passed through."""
    config = UNetConfig(base_channels=2, depth=1, num_classes=num_classes)
    model = UNet(config, seed=1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                module.weight.zero_()
                assert module.bias is not None
                module.bias.zero_()
        for block in (model.down[0], model.merge[0]):
            for k, place in ((0, 0), (2, 0)):
                convolution = block[k]  # type: ignore[index]
                skip = 2 if block is model.merge[0] and k == 0 else 0  # [upsampled, skip]
                convolution.weight[0, skip + place] = 1 / 9
        for c in range(1, num_classes):
            model.head.weight[c, 0] = 30.0
            model.head.bias[c] = -15.0 - c  # type: ignore[index]
    path = folder / "net.pt"
    save_checkpoint(path, Checkpoint(config, model.state_dict(), 44, 0, 0, **more))
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    about = {"axes": "YX", "unit": "um"}
    tifffile.imwrite(tmp_path / "image.tif", blobs(70, 61), imagej=True, resolution=(2, 2), metadata=about)
    return tmp_path / "image.tif"


def expected_labels(network: Path, image: Path, **params: Any) -> NDArray[np.int32]:
    folder = image.parent
    predict_files(network, image, folder / "expected.npy", decoding=NONE, overwrite=True)
    return separate_instances(np.load(folder / "expected.npy"), DecodingParams(**params))


@pytest.mark.parametrize("ending", [".tif", ".npy", ".zarr", ".png"])
def test_labels_are_those_of_the_decoding(tmp_path: Path, image: Path, ending: str) -> None:
    network = checkpoint(tmp_path)
    done = predict_files(network, image, tmp_path / f"cells{ending}")
    expected = expected_labels(network, image)
    assert done.num_instances == expected.max() > 3
    assert done.shape == (70, 61)
    source = open_source(str(tmp_path / f"cells{ending}"))
    assert source.dtype == "uint16"
    np.testing.assert_array_equal(source.read((slice(None),) * 4)[0, 0], expected)
    calibration = read_calibration(source)
    assert (calibration is not None) == (ending in (".tif", ".zarr"))
    if calibration:
        assert (calibration.unit, calibration.y) == ("micrometer", 0.5)
    assert is_prediction(tmp_path / f"cells{ending}")


def test_label_tiffs_are_tiled_and_compressed(tmp_path: Path, image: Path) -> None:
    predict_files(checkpoint(tmp_path), image, tmp_path / "cells.tif")
    with tifffile.TiffFile(tmp_path / "cells.tif") as tiff:
        assert tiff.pages.first.is_tiled
        assert tiff.pages.first.compression != 1
        assert not tiff.is_bigtiff


@pytest.mark.parametrize("ending", [".tif", ".npy", ".zarr", ".png"])
@pytest.mark.parametrize(("slices", "dtype"), [(1, "uint16"), (3, "uint32")])
def test_large_labels_are_written_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, slices: int, dtype: str
) -> None:
    if ending == ".png" and (slices > 1 or dtype == "uint32"):
        return
    monkeypatch.setattr(windows, "BAND_PIXELS", 30_000)
    shape = (slices, 2 * windows.ROWS + 13, 2 * windows.COLUMNS + 13)
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)
    layout = Layout((1, *shape), keeps_classes=False, keeps_slices=slices > 1, dtype=dtype, fingerprint="abc")
    write_labels(tmp_path / f"l{ending}", lambda w: values[None, w.z, w.rows, w.columns], layout, None)
    source = open_source(str(tmp_path / f"l{ending}"))
    np.testing.assert_array_equal(source.read((slice(None),) * 4)[0], values)
    assert fingerprint_of(tmp_path / f"l{ending}") == "abc"


def test_zarr_labels_are_valid_ome_zarr(tmp_path: Path, image: Path) -> None:
    predict_files(checkpoint(tmp_path), image, tmp_path / "cells.zarr")
    yaozarrs.validate_zarr_store(str(tmp_path / "cells.zarr"))


def ome_zarr(path: Path) -> Path:
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5, 0.5]}]}]
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets, "name": "image"}]}
    zarr.create_group(path, attributes={"ome": ome}).create_array("0", data=blobs(70, 61), dimension_names=("y", "x"))
    return path


def test_labels_beside_an_ome_zarr_image(tmp_path: Path) -> None:
    network, image = checkpoint(tmp_path), ome_zarr(tmp_path / "image.zarr")
    for name in ("cells", "more"):
        predict_files(network, image, image / "labels" / name)
    predict_files(network, image, image / "labels/cells", decoding={"threshold": 0.9}, overwrite=True)
    yaozarrs.validate_zarr_store(str(image))
    group: Any = zarr.open_group(image, mode="r")
    assert group["labels"].attrs["ome"]["labels"] == ["cells", "more"]
    about = group["labels/cells"].attrs["ome"]
    assert about["image-label"] == {"source": {"image": "../../"}}
    assert about["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] == [0.5, 0.5]
    assert group["labels/more/0"][:].max() > 3
    with pytest.raises(Conflict, match="labels/cells already exists"):
        predict_files(network, image, image / "labels/cells")
    with pytest.raises(InvalidInput, match="inside of an image"):
        predict_files(network, image, image / "labels/x", also="table")
    (image / "labels/mine").mkdir()
    with pytest.raises(Conflict, match="did not write"):
        predict_files(network, image, image / "labels/mine", overwrite=True)


def test_labels_are_written_beside_images_alone(tmp_path: Path, image: Path, default_store: Path) -> None:
    zarr.create_group(tmp_path / "group.zarr")
    network = checkpoint(tmp_path)
    with pytest.raises(InvalidInput, match=r"group\.zarr is no OME-Zarr image"):
        predict_files(network, image, tmp_path / "group.zarr/labels/cells")
    with pytest.raises(InvalidInput, match=r"no OME-Zarr image|inside of a store|Zarr hierarchy"):
        predict_files(network, image, default_store / "images/cells0/labels/cells")


def test_labels_of_another_image_are_not_written_beside_an_image(tmp_path: Path, image: Path) -> None:
    network, place = checkpoint(tmp_path), ome_zarr(tmp_path / "image.zarr")
    for other in (image, blobs(70, 61)):
        with pytest.raises(
            InvalidInput, match=r"labels/x, and the image that is predicted is .*\n  allowed: the labels"
        ):
            predict_files(network, other, place / "labels/x")
    assert not (place / "labels").exists()


def test_everything_beside_the_labels(tmp_path: Path, image: Path) -> None:
    network = checkpoint(tmp_path)
    done = predict_files(network, image, tmp_path / "cells.tif", also="table,overlay, probabilities")
    labels = tifffile.imread(tmp_path / "cells.tif")
    np.testing.assert_array_equal(labels, expected_labels(network, image))
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "cells.probabilities.tif"), np.load(tmp_path / "expected.npy")
    )
    with (tmp_path / "cells.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == done.num_instances
    pixels = blobs(70, 61)
    for row in rows:
        y, x = np.nonzero(labels == int(row["label"]))
        assert int(row["area_px"]) == len(y)
        assert float(row["area_um2"]) == pytest.approx(len(y) * 0.25)
        assert (float(row["centroid_y"]), float(row["centroid_x"])) == pytest.approx((y.mean(), x.mean()), abs=1e-3)
        box = (int(row["y0"]), int(row["x0"]), int(row["y1"]), int(row["x1"]))
        assert box == (y.min(), x.min(), y.max() + 1, x.max() + 1)
        assert float(row["mean_0"]) == pytest.approx(pixels[y, x].mean(), rel=1e-5)
        assert row["class"] == ""
    with Image.open(tmp_path / "cells.overlay.png") as overlay:
        assert overlay.mode == "RGB"
        drawn = np.asarray(overlay)
    coloured = (drawn != drawn[..., :1]).any(axis=-1)
    expected = np.zeros(labels.shape, bool)
    expected[1:] |= labels[1:] != labels[:-1]
    expected[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    np.testing.assert_array_equal(coloured, expected)
    np.testing.assert_array_equal(drawn[~expected][:, 0], pixels[~expected])


def test_the_overlay_of_a_colour_picture(tmp_path: Path) -> None:
    config = UNetConfig(in_channels=3, base_channels=2, depth=1)
    save_checkpoint(tmp_path / "net.pt", Checkpoint(config, UNet(config, seed=1).state_dict(), 44, 0, 0))
    pixels = np.stack([blobs(40, 30)] * 3, axis=-1)
    Image.fromarray(pixels).save(tmp_path / "rgb.png")
    predict_files(
        tmp_path / "net.pt", tmp_path / "rgb.png", tmp_path / "c.tif", also="overlay", decoding={"threshold": 1}
    )
    with Image.open(tmp_path / "c.overlay.png") as overlay:
        np.testing.assert_array_equal(np.asarray(overlay), pixels)


def test_classes_of_instances_are_in_the_table(tmp_path: Path, image: Path) -> None:
    predict_files(checkpoint(tmp_path, 3), image, tmp_path / "cells.tif", also="table")
    with (tmp_path / "cells.csv").open() as file:
        assert {row["class"] for row in csv.DictReader(file)} == {"1"}


def test_decoding_follows_the_run_and_then_the_call(tmp_path: Path, image: Path) -> None:
    network = checkpoint(tmp_path, decoding={"threshold": 0.2, "min_area_px": 5})
    for asked in ({}, {"threshold": 0.8}, {"instances": "components"}):
        predict_files(network, image, tmp_path / "cells.npy", decoding=asked, overwrite=True)
        values: dict[str, Any] = {"threshold": 0.2, "min_area_px": 5, **asked}
        np.testing.assert_array_equal(np.load(tmp_path / "cells.npy"), expected_labels(network, image, **values))
    with pytest.raises(InvalidInput, match="threshold is 3"):
        predict_files(network, image, tmp_path / "x.npy", decoding={"threshold": 3})
    with pytest.raises(InvalidInput, match="decoding is"):
        predict_files(network, image, tmp_path / "x.npy", decoding={"colour": 3})


def test_a_complete_output_is_not_made_again(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = checkpoint(tmp_path)
    first = predict_files(network, image, tmp_path / "cells.tif", also="table")
    monkeypatch.setattr(files, "summed_scores", pytest.fail)
    again = predict_files(network, image, tmp_path / "cells.tif", also="table", tile_px=60)
    assert first.is_new
    assert not again.is_new
    assert again.as_dict()["is_new"] is False
    (tmp_path / "cells.csv").unlink()
    monkeypatch.undo()
    assert predict_files(network, image, tmp_path / "cells.tif", also="table").is_new
    assert (tmp_path / "cells.csv").exists()
    for other in ({"tta": 4}, {"intensity": (0, 300)}, {"decoding": {"threshold": 0.4}}, {"decoding": NONE}):
        with pytest.raises(Conflict, match=r"cells\.tif already exists, and was predicted by another network"):
            predict_files(network, image, tmp_path / "cells.tif", **other)


def test_files_beside_of_other_labels_are_made_again(tmp_path: Path, image: Path) -> None:
    network, also = checkpoint(tmp_path), "table,overlay,probabilities"
    other: dict[str, Any] = {"threshold": 0.9, "min_area_px": 0}
    predict_files(network, image, tmp_path / "c.tif", also=also)
    predict_files(network, image, tmp_path / "c.tif", decoding=other, overwrite=True)
    assert predict_files(network, image, tmp_path / "c.tif", decoding=other, also="table").is_new
    assert table_areas(tmp_path / "c.csv") == np.count_nonzero(tifffile.imread(tmp_path / "c.tif"))
    assert not predict_files(network, image, tmp_path / "c.tif", decoding=other, also="table").is_new
    assert predict_files(network, image, tmp_path / "c.tif", decoding=other, also="overlay").is_new
    predict_files(network, image, tmp_path / "c.npy", also="table")
    assert predict_files(network, image, tmp_path / "c.tif", decoding=other, also="table").is_new


def test_an_empty_table_is_that_of_labels_without_instances_alone(tmp_path: Path, image: Path) -> None:
    network, none, some = checkpoint(tmp_path), {"min_area_px": 10**6}, {"min_area_px": 0}
    assert predict_files(network, image, tmp_path / "c.tif", decoding=none, also="table").num_instances == 0
    assert not predict_files(network, image, tmp_path / "c.tif", decoding=none, also="table").is_new
    predict_files(network, image, tmp_path / "c.tif", decoding=some, overwrite=True)
    assert table_areas(tmp_path / "c.csv") == 0
    assert predict_files(network, image, tmp_path / "c.tif", decoding=some, also="table").is_new
    assert table_areas(tmp_path / "c.csv") > 0


def table_areas(path: Path) -> int:
    with path.open() as file:
        return sum(int(row["area_px"]) for row in csv.DictReader(file))


def test_another_pixel_size_is_another_prediction(tmp_path: Path, image: Path) -> None:
    network = checkpoint(tmp_path)
    predict_files(network, image, tmp_path / "c.tif")
    about = {"axes": "YX", "unit": "um"}
    tifffile.imwrite(image, blobs(70, 61), imagej=True, resolution=(4, 4), metadata=about)
    with pytest.raises(Conflict, match="predicted by another network, of another image"):
        predict_files(network, image, tmp_path / "c.tif")
    predict_files(network, image, tmp_path / "c.tif", overwrite=True)
    calibration = read_calibration(open_source(str(tmp_path / "c.tif")))
    assert calibration is not None
    assert calibration.y == 0.25


def test_files_beside_are_of_instances(tmp_path: Path, image: Path) -> None:
    with pytest.raises(InvalidInput, match="also is 'table' with instances none"):
        predict_files(checkpoint(tmp_path), image, tmp_path / "p.tif", decoding=NONE, also="table")
    with pytest.raises(InvalidInput, match="also is 'figure'"):
        predict_files(checkpoint(tmp_path), image, tmp_path / "p.tif", also="figure")
    (tmp_path / "p.csv").write_text("mine")
    with pytest.raises(Conflict, match=r"p\.csv is a file that unettrain predict did not write"):
        predict_files(checkpoint(tmp_path), image, tmp_path / "p.tif", also="table", overwrite=True)


def test_pictures_are_of_one_slice(tmp_path: Path) -> None:
    network, volume = checkpoint(tmp_path), np.stack([blobs(20, 20)] * 2)
    with pytest.raises(InvalidInput, match=r"2 slices, and --out c\.png is a picture of one"):
        predict_files(network, volume, tmp_path / "c.png")
    with pytest.raises(InvalidInput, match="2 slices, and an overlay is a picture of one"):
        predict_files(network, volume, tmp_path / "c.tif", also="overlay")
    assert predict_files(network, volume, tmp_path / "c.tif").shape == (2, 20, 20)


def test_more_instances_than_a_png_can_number(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MOST_OF_PNG", 2)
    with pytest.raises(Failure, match=r"instances\n  allowed: at most 2 in a PNG"):
        predict_files(checkpoint(tmp_path), image, tmp_path / "c.png")
    assert not (tmp_path / "c.png").exists()


def test_seams_are_looked_for(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = checkpoint(tmp_path)
    done = predict_files(network, image, tmp_path / "c.tif", check_seams=True, tile_px=44, tta=8)
    assert done.largest_seam is not None
    assert 0 < done.largest_seam <= 1e-5
    monkeypatch.setattr(files, "LARGEST_SEAM", 0)
    with pytest.raises(Failure, match=r"differ by .* from those of whole slices"):
        predict_files(network, image, tmp_path / "d.tif", check_seams=True, tile_px=44, tta=8)
    assert not (tmp_path / "d.tif").exists()
    monkeypatch.setattr("unettrain.prediction.whole.available_memory", lambda: 1000)
    with pytest.raises(InvalidInput, match="GiB of memory; to check seams every slice is predicted as one tile"):
        predict_files(network, image, tmp_path / "d.tif", check_seams=True)
    with pytest.raises(InvalidInput, match="check-seams with amp bf16"):
        predict_files(network, image, tmp_path / "d.tif", check_seams=True, amp="bf16")


def test_many_images_into_a_folder(tmp_path: Path, image: Path) -> None:
    network, calls = checkpoint(tmp_path), list[tuple[int, int]]()
    (tmp_path / "raw").mkdir()
    for k in range(3):
        np.save(tmp_path / f"raw/{k}.npy", blobs(40 + k, 30))
    done = predict_many(network, [tmp_path / "raw"], tmp_path / "out", on_progress=lambda *at: calls.append(at))
    assert [p.path.name for p in done] == ["0.tif", "1.tif", "2.tif"]
    assert calls[-1][0] == calls[-1][1]
    assert len({total for _, total in calls}) == 1
    single = predict_files(network, tmp_path / "raw/1.npy", tmp_path / "one.tif")
    np.testing.assert_array_equal(tifffile.imread(single.path), tifffile.imread(tmp_path / "out/1.tif"))
    (tmp_path / "out/2.tif").unlink()
    again = predict_many(network, [f"{tmp_path}/raw/*.npy"], tmp_path / "out")
    assert [p.is_new for p in again] == [False, False, True]
    assert predict_many(network, [image], tmp_path / "file.tif")[0].path.name == "file.tif"


def test_all_images_that_cannot_be_used_are_named_before_anything_is_computed(tmp_path: Path) -> None:
    network = checkpoint(tmp_path)
    (tmp_path / "raw").mkdir()
    np.save(tmp_path / "raw/a.npy", blobs(30, 30))
    np.save(tmp_path / "raw/b.npy", np.zeros((2, 2, 30, 30), np.uint8))
    (tmp_path / "raw/c.png").write_bytes(b"no picture")
    message = r"(?s)2 images cannot be predicted:.*b\.npy of shape .* does not fit this network.*c\.png"
    with pytest.raises(InvalidInput, match=message):
        predict_many(network, [tmp_path / "raw"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    predict_many(network, [tmp_path / "raw/a.npy"], tmp_path / "a.tif")
    with pytest.raises(Conflict, match="already exists"):
        predict_many(network, [tmp_path / "raw/a.npy"], tmp_path / "a.tif", tta=4)


@pytest.mark.parametrize(
    ("name", "also", "ending"), [("a.probabilities", "probabilities", "tif"), ("a.overlay", "overlay", "png")]
)
def test_outputs_of_two_images_are_never_one_file(tmp_path: Path, name: str, also: str, ending: str) -> None:
    (tmp_path / "raw").mkdir()
    np.save(tmp_path / "raw/a.npy", blobs(30, 30))
    np.save(tmp_path / f"raw/{name}.npy", blobs(30, 30))
    for _ in range(2):
        with pytest.raises(InvalidInput, match=rf"out/{name}\.{ending} would be written, and is an output of another"):
            predict_many(checkpoint(tmp_path), [tmp_path / "raw"], tmp_path / "out", also=also, format=ending)
        assert not (tmp_path / "out").exists()


def test_no_output_replaces_the_input_of_another_image(tmp_path: Path) -> None:
    network = checkpoint(tmp_path)
    np.save(tmp_path / "a.npy", blobs(30, 30))
    predict_files(network, tmp_path / "a.npy", tmp_path / "a.probabilities.tif", decoding=NONE)
    images = [tmp_path / "a.npy", tmp_path / "a.probabilities.tif"]
    with pytest.raises(InvalidInput, match=r"a\.probabilities\.tif would be written, and is the input"):
        predict_many(network, images, tmp_path, also="probabilities", format="zarr", overwrite=True)


def test_the_image_whose_values_cannot_be_used_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((30, 30), np.nan))
    np.save(tmp_path / "b.npy", np.full((30, 30), np.inf))
    for name, found in (("a", "include NaN"), ("b", "reach from inf to inf")):
        with pytest.raises(InvalidInput, match=rf"{name}\.npy: the image's values {found}\n  allowed: finite"):
            predict_files(checkpoint(tmp_path), tmp_path / f"{name}.npy", tmp_path / "c.tif")


@pytest.mark.parametrize("value", [np.uint64(2**63), np.float32(1e30), np.float64(-1e20)])
def test_flat_images_of_large_values(tmp_path: Path, value: np.generic) -> None:
    done = predict_files(checkpoint(tmp_path), np.full((30, 30), value), tmp_path / "c.tif")
    assert done.intensity[0] < done.intensity[1]
    assert done.num_instances == 0


def test_dropped_instances_are_counted_and_warned_of(tmp_path: Path, image: Path) -> None:
    network = checkpoint(tmp_path)
    kept = predict_files(network, image, tmp_path / "all.tif", decoding={"min_area_px": 0})
    assert (kept.num_dropped, kept.warnings) == (0, ())
    lost = predict_files(network, image, tmp_path / "none.tif", decoding={"min_area_px": 100_000})
    assert (lost.num_instances, lost.num_dropped) == (0, kept.num_instances)
    assert f"{kept.num_instances} instances of fewer than 100000 pixels were dropped, and 0 kept" in lost.warnings[0]
