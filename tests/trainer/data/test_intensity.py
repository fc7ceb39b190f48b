"""Scaling of new images: as the training images were, with warnings where they differ."""

from typing import Any

import numpy as np
import pytest

from unetprep.kernels.percentiles import intensity_limits, robust_range
from unetprep.parameter import numbers
from unettrain.data.intensity import (
    Scaling,
    TrainingImages,
    checked_intensity,
    intensity_range,
    rows_at_once,
    scale_intensity,
    scaling_of,
)
from unettrain.errors import InvalidInput

SEEN = {"range": [0.0, 255.0], "percentiles": [20.0, 180.0], "width": [100.0, 200.0]}
BYTES = TrainingImages.of("auto", "uint8", SEEN)
WORDS = TrainingImages.of("auto", "uint16", {**SEEN, "range": [20.0, 180.0]})


def picture(low: float, high: float, dtype: str) -> Any:
    """An image (1, 1, y, x) whose robust range is low to high."""
    image = np.tile(np.linspace(low, high, 40).round(6), (40, 1)).repeat(2, axis=1).astype(dtype)
    return image[None, None]


def messages(scaling: Scaling) -> str:
    return "\n".join(scaling.warnings)


def test_what_auto_stood_for_is_resolved() -> None:
    assert (BYTES.rule, WORDS.rule) == ("dtype", "percentile")
    assert TrainingImages.of("auto", "uint16", {}).rule == "minmax"  # a store that records no percentiles is older
    assert TrainingImages.of("auto", "uint8", {}).rule == "dtype"
    assert TrainingImages.of("minmax", "uint16", SEEN).rule == "minmax"
    assert TrainingImages.of(BYTES.rule, BYTES.dtype, BYTES.as_values()) == BYTES
    assert TrainingImages.of("auto", "uint16", {}).as_values() == {}


@pytest.mark.parametrize("wrong", [{"range": [0, 1]}, {**SEEN, "width": "ab"}, {**SEEN, "width": [1, 2, 3]}])
def test_malformed_ranges_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="two numbers"):
        TrainingImages.of("auto", "uint8", wrong)


def test_an_image_like_the_training_images_follows_their_rule_without_warning() -> None:
    assert scaling_of(picture(25, 190, "uint8"), BYTES) == Scaling((0.0, 255.0))
    assert scaling_of(picture(25, 190, "uint16"), WORDS) == Scaling((25.0, 190.0))
    assert scaling_of(picture(25, 190, "uint16"), TrainingImages.of("minmax", "uint16", SEEN)) == Scaling((25.0, 190.0))


@pytest.mark.parametrize(("dtype", "factor"), [("uint16", 257), ("uint16", 16), ("uint16", 1), ("float32", 1 / 255)])
def test_another_dtype_is_scaled_to_what_the_network_saw(dtype: str, factor: float) -> None:
    """Percentiles 20 to 180 of 0 to 255 in the training: the image's own percentiles must come to the same values."""
    image = picture(20 * factor, 180 * factor, dtype)
    found = scaling_of(image, BYTES)
    scaled = scale_intensity(image, *found.range)
    np.testing.assert_allclose([scaled.min(), scaled.max()], [20 / 255, 180 / 255], atol=2e-3)
    assert f"the image has dtype {dtype}, the training images had uint8" in messages(found)


def test_an_image_of_other_brightness_gives_a_warning() -> None:
    empty, bright = scaling_of(picture(100, 105, "uint16"), WORDS), scaling_of(picture(0, 5000, "uint16"), WORDS)
    assert "values span 100 to 105, over 4 times more or less than those of the training images" in messages(empty)
    assert "the training images had the range --intensity 20,180" in messages(empty)
    assert "values span 0 to 5000" in messages(bright)
    assert not scaling_of(picture(0, 700, "uint16"), WORDS).warnings


def test_a_hot_pixel_gives_a_warning_and_leaves_the_range_alone() -> None:
    image = picture(25, 190, "uint16")
    image[0, 0, 11, 11] = 65535
    found = scaling_of(image, WORDS)
    assert found.range == (25.0, 190.0)
    assert "values reach from 0 to 397" in messages(found)
    assert "clipped to -0.5 to 1.5" in messages(found)
    assert scale_intensity(image, *found.range).max() == 1.5


def test_what_is_asked_for_comes_first_then_what_a_store_recorded() -> None:
    image = picture(25, 190, "uint8")
    assert scaling_of(image, BYTES, (0, 100), (3.0, 4.0)).range == (0, 100)
    assert scaling_of(image, BYTES, None, (3.0, 400.0)).range == (3, 400)
    assert scaling_of(image, BYTES, "percentile").range == scaling_of(image, BYTES, "minmax").range == (25, 190)
    assert scaling_of(image, WORDS, "auto").range == scaling_of(image, WORDS, "dtype").range == (0, 255)


def test_a_checkpoint_of_an_older_release_keeps_its_meaning() -> None:
    older, image = TrainingImages.of("auto", "", {}), picture(25, 190, "uint16")
    image[0, 0, 11, 11] = 1000
    found = scaling_of(image, older)
    assert found.range == (25.0, 1000.0)
    assert "the checkpoint is of an older release" in messages(found)
    assert scaling_of(picture(25, 190, "uint8"), older) == Scaling((0.0, 255.0))
    assert not scaling_of(image, older, (0, 1000)).warnings


@pytest.mark.parametrize("text", ["", "1", "3,2", "1,1", "1,2,3", "nan,1", "-inf,inf", "max", "1,x"])
def test_an_intensity_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="two numbers LOW,HIGH of which LOW is less, such as 0,4095; or auto, dtype"):
        checked_intensity(numbers(text) or text)


def test_an_intensity_is_a_range_or_a_rule() -> None:
    assert checked_intensity(numbers("-100, 3.5e3") or "") == checked_intensity((-100, 3500)) == (-100, 3500)
    assert checked_intensity("minmax") == "minmax"


def test_the_range_is_that_of_the_whole_whatever_is_read_at_once() -> None:
    image = np.random.default_rng(0).gamma(2, 500, (2, 2, 2061, 31)).astype(np.uint16)
    turned = intensity_range(image.swapaxes(0, 1))
    assert intensity_range(image) == turned
    with pytest.raises(InvalidInput, match="the image has dtype float32, which has no range of its own"):
        intensity_range(image.astype(np.float32), "dtype")


@pytest.mark.parametrize(("width", "rows"), [(1, 1024), (4096, 1024), (6001, 698), (16384, 256), (10**6, 256)])
def test_the_range_of_a_wide_image_is_found_in_blocks_of_a_bounded_number_of_pixels(width: int, rows: int) -> None:
    assert rows_at_once(width) == rows


def test_the_range_of_a_wide_image_does_not_depend_on_the_blocks() -> None:
    image = np.random.default_rng(0).integers(0, 4000, (1, 1, 300, 20_001)).astype(np.uint16)
    whole = robust_range(lambda: [image], image.dtype)
    assert intensity_range(image, "percentile") == intensity_limits("percentile", image.dtype, whole)
