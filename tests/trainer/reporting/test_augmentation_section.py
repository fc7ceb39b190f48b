"""The gallery shows tiles of the training with the augmentation that the training samples."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.reporting.helpers import MakeStore, Page
from unettrain.augment.draw import Draw
from unettrain.draws import sampled_draws
from unettrain.reporting import augmentation_section as gallery
from unettrain.reporting.inputs import Run, read_run


@pytest.fixture(scope="module")
def read(default_run: Path) -> Run:
    return read_run(default_run)


def test_each_tile_is_shown_as_stored_and_as_the_run_draws_it(read: Run, default_run: Path) -> None:
    page = Page(gallery.augmentation_section(read))
    tiles = gallery.chosen_tiles(read)
    assert len(tiles) == len(set(tiles)) == 2
    shown = dict(zip(page.values("src"), page.values("alt"), strict=True))
    assert len(shown) == 8  # all differ
    three_epochs = range(3 * len(gallery._stream(read).split_indices))
    sampled = [found for found in sampled_draws(default_run, three_epochs) if found.tile in tiles]
    assert [found.epoch for found in sampled] == [0, 0, 1, 1, 2, 2]
    for found in sampled:
        assert any(f"Epoch {found.epoch}. {gallery.described(found.draw)}" in alt for alt in shown.values())
    assert sum(alt.endswith("As stored.") for alt in shown.values()) == 2


def test_pictures_outlines_and_gray_values_are_those_of_the_batch(read: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[tuple[np.ndarray, np.ndarray]]()
    drawn = gallery._tile

    def note(image: np.ndarray, target: np.ndarray, *more: object) -> object:
        seen.append((image, target))
        return drawn(image, target, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(gallery, "_tile", note)
    gallery.augmentation_section(read)
    stream = gallery._stream(read)
    (first, *_), before = gallery.chosen_tiles(read), seen[:4]
    stored = stream.tiles.read(first)
    margin = stream.tiles.margin_px
    np.testing.assert_array_equal(before[0][1], stored.target[margin:-margin, margin:-margin])
    assert any(not np.array_equal(before[0][1], target) for _, target in before[1:])


def test_a_store_that_no_longer_fits_is_named(read: Run) -> None:
    fit = read.record["fit"] | {"rotation": 45.0}  # needs a larger margin
    page = Page(gallery.augmentation_section(replace(read, record=read.record | {"fit": fit})))
    assert re.search("No tiles are shown, since the store no longer fits the run: .*margin", page.words)
    assert "img" not in page.tags


def test_tiles_of_different_images_come_first(
    make_store: MakeStore, read: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"tile": [4, 5, 6, 7], "image_index": [0, 0, 1, 1], "foreground": [0.9, 0.8, 0.2, 0.3]}
    monkeypatch.setattr(gallery, "training_tiles", lambda run: {k: np.array(v) for k, v in columns.items()})
    assert gallery.chosen_tiles(read) == [4, 7]
    columns["image_index"] = [2, 2, 2, 2]
    assert gallery.chosen_tiles(read) == [4, 5]


def test_a_large_tile_is_reduced_to_means() -> None:
    image = np.arange(2 * 5 * 4, dtype=np.float32).reshape(2, 5, 4)
    np.testing.assert_array_equal(gallery.reduced(image, 2)[0], [[2.5, 4.5], [10.5, 12.5]])
    assert gallery.reduced(image, 1).shape == image.shape


def test_augmentation_is_described_in_words() -> None:
    assert gallery.described(Draw()) == "Unchanged."
    assert gallery.described(Draw(field=3, turn=6, slope=0.9)) == (
        "Field 3, mirrored, turned by 180\N{DEGREE SIGN}, gray slope 0.90."
    )
    assert gallery.described(Draw(angle=12, scale=1.1, shift=(3, -2), noise=0.1, blur=1)) == (
        "Rotated by 12\N{DEGREE SIGN}, scaled by 1.10, shifted by 3, -2 pixels (y, x), noise 0.1,"
        " blurred by 1.0 pixels."
    )
