from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from tests.pipeline.sources.formats.samples import COLOURS, PLANE, WHOLE, packed, png
from unetprep.errors import InvalidInput
from unetprep.sources import open_source
from unetprep.sources.pairing import open_labels

PALETTE = bytes(range(24))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("is_labels", [False, True])
def test_grey_of_any_depth_keeps_its_numbers(tmp_path: Path, depth: int, is_labels: bool) -> None:
    values = (PLANE.astype(int) % 2**depth).astype(np.uint8)
    (tmp_path / "x.png").write_bytes(png(depth, 0, packed(values, depth), 30))
    source = open_labels(str(tmp_path / "x.png")) if is_labels else open_source(str(tmp_path / "x.png"))
    np.testing.assert_array_equal(source.read(WHOLE)[0, 0], values)


@pytest.mark.parametrize("depth", [2, 4, 8])
def test_a_palette_is_colours_in_an_image_and_numbers_in_labels(tmp_path: Path, depth: int) -> None:
    values = PLANE % min(2**depth, 8)
    (tmp_path / "x.png").write_bytes(png(depth, 3, packed(values, depth), 30, (b"PLTE", PALETTE)))
    colours = np.frombuffer(PALETTE, np.uint8).reshape(-1, 3)[values]
    np.testing.assert_array_equal(open_source(str(tmp_path / "x.png")).read(WHOLE)[:, 0], colours.transpose(2, 0, 1))
    np.testing.assert_array_equal(open_labels(str(tmp_path / "x.png")).read(WHOLE)[0, 0], values)


@pytest.mark.parametrize("num_channels", [1, 2, 3, 4])
def test_sixteen_bits_of_each_channel_are_kept(tmp_path: Path, num_channels: int) -> None:
    deep = np.dstack([COLOURS, PLANE])[..., :num_channels].astype(np.uint16) * 257 + 3
    deep = deep[..., 0] if num_channels == 1 else deep
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(deep))
    source = open_source(str(tmp_path / "x.png"))
    assert (source.dtype, source.shape[0]) == ("uint16", num_channels)
    np.testing.assert_array_equal(source.read(WHOLE)[0, 0], deep if num_channels == 1 else deep[..., 0])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_an_opaque_alpha_channel_is_dropped(tmp_path: Path, mode: str) -> None:
    pixels = np.dstack([PLANE, PLANE] if mode == "LA" else [COLOURS, PLANE])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert open_source(str(tmp_path / "a.png")).shape[0] == len(mode)
    pixels[..., -1] = 255
    Image.fromarray(pixels).save(tmp_path / "b.png")
    assert open_source(str(tmp_path / "b.png")).shape[0] == len(mode) - 1


def test_the_frames_of_a_gif_are_slices(tmp_path: Path) -> None:
    frames = [Image.fromarray(PLANE // (k + 1)) for k in range(3)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    pixels = open_source(str(tmp_path / "x.gif")).read(WHOLE)
    np.testing.assert_array_equal(pixels[0], np.stack([PLANE // (k + 1) for k in range(3)]))


def test_a_picture_of_many_pixels_is_read_up_to_a_bound_that_can_be_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.zeros((14000, 14000), np.uint8)).save(tmp_path / "x.png", compress_level=1)
    part = (slice(0, 1), slice(0, 1), slice(13999, 14000), slice(0, 14000))
    assert not open_source(str(tmp_path / "x.png")).read(part).any()
    monkeypatch.setenv("UNETPREP_MAX_PICTURE_PIXELS", "1000000")
    with pytest.raises(InvalidInput, match=r"(?s)14000 x 14000.*1000000.*UNETPREP_MAX_PICTURE_PIXELS=196000000"):
        open_source(str(tmp_path / "x.png"))


def test_a_plain_png_is_not_decoded_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "x.png")
    monkeypatch.setattr("unetprep.sources.formats.pictures._decode", pytest.fail)
    assert open_source(str(tmp_path / "x.png")).shape == (3, 1, 40, 30)
