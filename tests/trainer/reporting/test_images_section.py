"""Scores of each image, worst first."""

import numpy as np
from numpy.typing import NDArray

from tests.trainer.reporting.helpers import NOTHING_SHOWN, Page, held_out, region_scores
from unettrain.reporting.images_section import MAX_ROWS, images_section
from unettrain.reporting.region_scores import RegionScores, worst_first
from unettrain.reporting.regions import Region


def cells(*starts: int) -> NDArray[np.int32]:
    """Cells of 5 x 5 pixels at these columns."""
    labels = np.zeros((8, 60), np.int32)
    for number, start in enumerate(starts, start=1):
        labels[2:7, start : start + 5] = number
    return labels


def some_regions() -> list[RegionScores]:
    return [
        region_scores(cells(2, 12), cells(2, 12), "good"),
        region_scores(cells(), cells(), "empty"),
        region_scores(cells(2, 12, 22), cells(2, 12), "fair", num_slices=4, z=2),
        region_scores(cells(), cells(2), "invented"),
        region_scores(cells(2), cells(3), "shifted"),  # IoU 20 / 30
    ]


def test_the_worst_is_first_and_what_has_no_cells_is_last() -> None:
    titles = [found.title for found in worst_first(some_regions())]
    assert titles == ["invented", "fair, slice 2", "shifted", "good", "empty"]


def test_the_table_shows_scores_and_errors() -> None:
    words = " ".join(Page(images_section(held_out(NOTHING_SHOWN, some_regions()))).words.split())
    assert "5 lines" in words
    assert "fair, slice 2 3 0.67 0.67 0.67 1 0 0 0" in words
    assert "invented 0 0.00 0.00 0.00 0 1 0 0" in words
    assert "empty 0 \N{EN DASH} \N{EN DASH} \N{EN DASH} 0 0 0 0" in words
    assert "scores.json" not in words


def test_a_long_table_is_cut_and_says_so() -> None:
    page = Page(images_section(held_out(NOTHING_SHOWN, some_regions() * 20)))
    assert page.tags.count("tr") == 1 + MAX_ROWS
    assert "The other 50, which are no worse, are in scores.json." in page.words
    assert "empty" not in page.words


def test_a_volume_is_named_by_its_slices() -> None:
    found = region_scores(cells(2), cells(2))
    volume = RegionScores(Region("v", 3, 4, 20, 0, 8, 0, 60), 24, found.scores, found.errors)
    assert volume.title == "v, slices 4 to 19"
    told = volume.as_dict()
    assert (told["image"], told["z"], told["y"], told["x"]) == ("v", [4, 20], [0, 8], [0, 60])
