"""Prediction by overlapping tiles: as one tile of the whole would give."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from numpy.typing import NDArray

from unetprep.kernels.tiling import border_px, smallest_tile
from unettrain.config import UNetConfig
from unettrain.data.intensity import intensity_range, scale_intensity
from unettrain.errors import InvalidInput
from unettrain.model import UNet
from unettrain.prediction.image import predict_image


def a_model(depth: int = 2, channels: int = 1) -> UNet:
    return UNet(UNetConfig(in_channels=channels, base_channels=3, depth=depth), seed=1).eval()


def random_image(*shape: int) -> NDArray[np.float32]:
    """Coarse blobs, in [0, 1]: something that pooling on another grid would give another answer for."""
    return np.random.default_rng(sum(shape)).random(shape, np.float32)


def whole_at_once(model: UNet, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every slice as one tile of the network, mirrored by numpy, cropped to the image."""
    depth, (height, width) = model.config.depth, image.shape[2:]
    tile = smallest_tile(depth)
    while tile - border_px(depth) < max(height, width):
        tile += 2**depth
    before = border_px(depth) // 2
    pads = [(before, tile - before - side) for side in (height, width)]
    padded = np.pad(image, [(0, 0), (0, 0), *pads], mode="reflect")
    with torch.inference_mode():
        scores = model(torch.from_numpy(np.ascontiguousarray(padded.swapaxes(0, 1))))
    whole: NDArray[np.float32] = scores.softmax(1).numpy()[:, :, :height, :width].swapaxes(0, 1)
    return whole


@pytest.mark.parametrize(
    ("depth", "tile", "shape"),
    [
        (1, 20, (13, 9)), (2, 44, (11, 14)), (2, 60, (45, 37)), (2, 60, (40, 20)), (2, 60, (1, 30)), (2, 60, (3, 2)),
        (3, 100, (31, 45)), (4, 188, (35, 20)), (4, 204, (50, 37)), (4, 220, (61, 33)),
    ],
)  # fmt: skip
def test_tiled_equals_whole(depth: int, tile: int, shape: tuple[int, int]) -> None:
    model, image = a_model(depth), random_image(1, 1, *shape)
    tiled = predict_image(model, image, (0.0, 1.0), tile)
    whole = whole_at_once(model, image)
    assert tiled.shape == (2, 1, *shape)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=2e-5)
    assert whole.std() > 1e-3


def test_channels_slices_and_batches() -> None:
    model, image = a_model(channels=2), random_image(2, 3, 30, 25)
    heard = list[tuple[int, int]]()
    result = predict_image(
        model, image, (0.0, 1.0), 60, batch_size=2, on_progress=lambda done, num: heard.append((done, num))
    )
    np.testing.assert_allclose(result, whole_at_once(model, image), rtol=0, atol=2e-5)
    np.testing.assert_allclose(result.sum(0), 1, rtol=1e-6)
    assert result.dtype == np.float32
    assert heard == [(i, 9) for i in range(1, 10)]  # three groups of two panels, in three strips each


def test_the_default_tile_and_intensity() -> None:
    model, image = a_model(), (random_image(1, 1, 30, 30) * 65535).astype(np.uint16)
    explicit = predict_image(model, image, intensity_range(image, "percentile"), 60)
    np.testing.assert_allclose(predict_image(model, image), explicit, rtol=0, atol=2e-5)


def test_a_hot_pixel_is_clipped() -> None:
    """It does what a pixel one half of the range above the range does, to all the pixels around it."""
    model, image = a_model(), (random_image(1, 1, 30, 30) * 100).astype(np.uint16)
    hot, bright = image.copy(), image.copy()
    hot[..., 11, 12], bright[..., 11, 12] = 65535, 150
    np.testing.assert_array_equal(predict_image(model, hot, (0, 100)), predict_image(model, bright, (0, 100)))
    assert abs(predict_image(model, hot, (0, 1000)) - predict_image(model, image, (0, 1000))).max() > 1e-4


class Windows:
    """An array that allows nothing but being cut, and remembers the largest cut."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array, self.largest = array, 0
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        cut: NDArray[Any] = self.array[key]
        self.largest = max(self.largest, cut.size)
        return cut


def test_only_windows_are_read(tmp_path: Path) -> None:
    model, image = a_model(), random_image(1, 2, 150, 130)
    expected, windows = predict_image(model, image, (0.0, 1.0), 60), Windows(image)
    np.testing.assert_array_equal(predict_image(model, windows, (0.0, 1.0), 60), expected)
    assert 0 < windows.largest <= 60 * 60  # 32 rows of a strip
    stored = zarr.create_array(tmp_path / "image.zarr", data=image, chunks=(1, 1, 64, 64))
    out = zarr.create_array(tmp_path / "out.zarr", shape=(2, 2, 150, 130), chunks=(2, 1, 64, 64), dtype="f4")
    assert predict_image(model, stored, (0.0, 1.0), 60, out=out) is out
    np.testing.assert_array_equal(np.asarray(out[:]), expected)


def test_dropout_is_off_and_the_mode_is_put_back() -> None:
    model, image = a_model().train(), random_image(1, 1, 20, 20)
    first = predict_image(model, image, (0.0, 1.0), 60)
    assert model.training
    np.testing.assert_array_equal(first, predict_image(model.eval(), image, (0.0, 1.0), 60))
    assert not model.training


@pytest.mark.parametrize("shape", [(2, 1, 30, 30), (1, 30, 30), (1, 1, 0, 30)])
def test_wrong_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"does not fit this network\n  allowed: \(1, z, y, x\)"):
        predict_image(a_model(), np.zeros(shape, np.uint8), tile_px=60)


def test_an_illegal_tile_is_refused() -> None:
    with pytest.raises(InvalidInput, match="60 or 64 px"):
        predict_image(a_model(), random_image(1, 1, 30, 30), tile_px=62)


@pytest.mark.parametrize(
    ("dtype", "expected"), [(np.uint8, (0.0, 255.0)), (np.uint16, (3.0, 9.0)), (np.float32, (3.0, 9.0))]
)
def test_the_range_of_an_image(dtype: type[np.number], expected: tuple[float, float]) -> None:
    image = np.full((2, 2, 2500, 3), 5, dtype)
    image[1, 0, 2400, 1], image[0, 1, 7, 2] = 3, 9
    assert intensity_range(image) == expected


@pytest.mark.parametrize("value", [0.0, 7.0, 1e12, -3e38])
def test_a_constant_image_does_not_divide_by_zero(value: float) -> None:
    image = np.full((1, 1, 30, 30), value, np.float32)
    low, high = intensity_range(image)
    assert low < high or value in (1e12, -3e38)
    assert np.isfinite(scale_intensity(image, low, high)).all()


def test_values_that_are_no_numbers_are_refused() -> None:
    for bad in (np.nan, np.inf, -np.inf):
        image = random_image(1, 1, 8, 8)
        image[0, 0, 3, 3] = bad
        with pytest.raises(InvalidInput, match="allowed: finite numbers"):
            intensity_range(image)
    with pytest.raises(InvalidInput, match="no pixels"):
        intensity_range(np.zeros((1, 0, 3, 3)))
