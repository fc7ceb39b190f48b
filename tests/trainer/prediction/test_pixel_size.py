"""Prediction of images whose pixel size is not that of the training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

import unetprep
import unettrain
from tests.synthetic import cell_image, cell_labels
from tests.trainer.prediction.test_files import IMAGE, NONE, expected, network
from unetprep.sources.calibration import Calibration
from unettrain.checkpoint import load_checkpoint, save_checkpoint
from unettrain.config import FitConfig
from unettrain.errors import InvalidInput
from unettrain.prediction.files import predict_files
from unettrain.prediction.pixel_size import resizing_of
from unettrain.prediction.resampling import Axis, Resampled, resample

SEEN = {"range": [0, 255], "percentiles": [0, 255], "width": [255, 255]}


def trained(folder: Path, pixel_um: float, **shape: Any) -> Path:
    path = network(folder, **shape)
    seen = SEEN | {"pixel_um": [pixel_um, pixel_um]}
    save_checkpoint(path, replace(load_checkpoint(path), training_intensity=seen, image_dtype="uint8"))
    return path


def write(path: Path, image: NDArray[Any], pixel_um: float) -> Path:
    resolution = (1 / pixel_um, 1 / pixel_um)
    tifffile.imwrite(path, image, imagej=True, resolution=resolution, metadata={"unit": "um"})
    return path


def test_an_image_of_other_pixels_is_refused_with_both_sizes(tmp_path: Path) -> None:
    checkpoint, image = trained(tmp_path, 0.2), write(tmp_path / "a.tif", IMAGE, 0.5)
    with pytest.raises(InvalidInput, match=r"0.5 x 0.5 um, and the training images of 0.2 x 0.2 um(.|\n)*resample"):
        predict_files(checkpoint, image, tmp_path / "p.tif")
    assert not (tmp_path / "p.tif").exists()
    done = predict_files(checkpoint, image, tmp_path / "p.tif", decoding=NONE, pixel_size="ignore")
    assert any("has pixels of 0.5 x 0.5 um" in warning for warning in done.warnings)
    np.testing.assert_allclose(
        tifffile.imread(tmp_path / "p.tif"), expected(checkpoint, IMAGE[None, None], (0, 255))[1, 0], atol=1e-6
    )


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("pixel_um", [0.5, 0.08])
def test_it_is_predicted_at_the_pixel_size_of_the_training(tmp_path: Path, pixel_um: float, num_classes: int) -> None:
    checkpoint = trained(tmp_path, 0.2, num_classes=num_classes)
    image = write(tmp_path / "a.tif", IMAGE, pixel_um)
    out = tmp_path / "p.tif"
    done = predict_files(checkpoint, image, out, decoding=NONE, pixel_size="resample", tile_px=44)
    size = (round(60 * pixel_um / 0.2), round(45 * pixel_um / 0.2))
    seen = Resampled(IMAGE[None, None], size)[slice(None), 0, slice(None), slice(None)]
    probabilities = expected(checkpoint, seen[:, None], (0, 255))[:, 0]
    back = resample(probabilities, Axis(size[0], 60, 0, 60), Axis(size[1], 45, 0, 45))
    found = tifffile.imread(tmp_path / "p.tif")
    np.testing.assert_allclose(found, back[1] if num_classes == 2 else back, atol=1e-5)
    assert done.shape == found.shape
    with tifffile.TiffFile(tmp_path / "p.tif") as tiff:
        assert tiff.pages.first.tags["XResolution"].value[1] / tiff.pages.first.tags["XResolution"].value[
            0
        ] == pytest.approx(pixel_um)


def test_similar_pixels_are_predicted_as_they_are(tmp_path: Path) -> None:
    checkpoint, image = trained(tmp_path, 0.2), write(tmp_path / "a.tif", IMAGE, 0.29)
    for rule in ("check", "resample"):
        kept = {"min_area_px": 0}
        done = predict_files(checkpoint, image, tmp_path / "p.tif", decoding=kept, pixel_size=rule, overwrite=True)
        assert done.warnings == ()


@pytest.mark.parametrize(
    ("stated", "size"),
    [
        (Calibration(None, 500.0, 500.0, "nanometer"), (25, 50)),
        (Calibration(None, 0.2, 0.8, "micrometer"), (10, 80)),
    ],
)
def test_units_and_axes_are_told_apart(stated: Calibration, size: tuple[int, int]) -> None:
    assert resizing_of((0.2, 0.2), stated, (10, 20), "resample", "a").size == size


def test_unknown_sizes_are_said_and_not_compared() -> None:
    for stated in (None, Calibration(None, 1.0, 1.0, ""), Calibration(None, 1.0, 1.0, "parsec")):
        (warning,) = resizing_of((0.2, 0.2), stated, (10, 20), "check", "a.png").warnings
        assert "a.png states no pixel size; the training images have 0.2 x 0.2 um" in warning
    assert resizing_of(None, Calibration(None, 9.0, 9.0, "micrometer"), (10, 20), "check", "a").warnings == ()
    with pytest.raises(InvalidInput, match="pixel-size is 'other'"):
        resizing_of(None, None, (1, 1), "other", "a")


def test_the_training_records_the_pixel_size_of_its_images(tmp_path: Path) -> None:
    cells = cell_labels((84, 84), 8)
    write(tmp_path / "image.tif", cell_image(cells), 0.2)
    tifffile.imwrite(tmp_path / "labels.tif", cells)
    store = str(tmp_path / "ds.zarr")
    stages = [unetprep.WeightsParams(), unetprep.TilesParams(tile_px=52, depth=1, margin_px=0)]
    unetprep.prepare_store(store, [tmp_path / "image.tif"], [tmp_path / "labels.tif"], stages)
    unettrain.fit(store, tmp_path / "run", FitConfig(base_channels=2, steps=1, deform=False, threads=1))
    seen = load_checkpoint(tmp_path / "run" / "last.pt").training_intensity
    assert seen["pixel_um"] == pytest.approx([0.2, 0.2])
    unettrain.predict_files(tmp_path / "run", f"{store}/images/image", tmp_path / "p.tif")
    with pytest.raises(InvalidInput, match=r"and the training images of 0\.2"):
        unettrain.predict_files(tmp_path / "run", write(tmp_path / "b.tif", IMAGE, 1.0), tmp_path / "q.tif")
