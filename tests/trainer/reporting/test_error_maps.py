"""Maps of errors: kinds in colour, marks, and the section that shows them."""

import numpy as np
from numpy.typing import NDArray

from tests.trainer.reporting.helpers import NOTHING_SHOWN, Page, error_map, held_out, region_scores
from unettrain.metrics import CellKind, cell_errors
from unettrain.reporting.error_maps import COLOURS, make_error_map
from unettrain.reporting.errors_section import errors_section, signs
from unettrain.reporting.pictures import rgb

CELL = slice(1, 5)  # rows of all cells


def labelled(width: int, *columns: tuple[int, int]) -> NDArray[np.int32]:
    """Labels of 6 rows with a cell, 1, 2, ..., in each of the given ranges of columns."""
    labels = np.zeros((6, width), np.int32)
    for number, (start, stop) in enumerate(columns, start=1):
        labels[CELL, start:stop] = number
    return labels


def example() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """A found, a missed, a split cell and two merged ones, a spurious proposal, and one in ignored pixels."""
    truth = labelled(40, (1, 5), (6, 9), (10, 18), (19, 22), (22, 25))
    truth[:, 34:] = -1
    return truth, labelled(40, (1, 5), (10, 13), (15, 18), (19, 28), (29, 32), (35, 39))


def test_each_kind_has_its_colour_and_its_sign() -> None:
    shown = error_map(*example())
    names = {0: "BACKGROUND", 2: "FOUND", 7: "MISSED", 11: "SPLIT", 13: "SPLIT", 16: "SPLIT", 20: "MERGED",
             24: "MERGED", 27: "MERGED", 28: "BACKGROUND", 30: "SPURIOUS", 36: "BACKGROUND"}  # fmt: skip
    assert {column: CellKind(shown.kinds[2, column]).name for column in names} == names
    assert shown.is_whole
    picture, plain = shown.picture()[2], shown.picture()[2, 0]
    for column, name in names.items():
        if name == "BACKGROUND":
            np.testing.assert_array_equal(picture[column], plain)
        else:
            colour = rgb(COLOURS[CellKind[name]])
            np.testing.assert_allclose(picture[column].astype(int) - 0.75 * colour, picture[2, 0] - 162, atol=1)
    assert [(round(x, 1), round(y, 1), kind.name) for x, y, kind in shown.marks()] == [
        (7.5, 3, "MISSED"), (20.5, 3, "MERGED"), (23.5, 3, "MERGED"), (11.5, 3, "SPLIT"), (16.5, 3, "SPLIT"),
        (30.5, 3, "SPURIOUS"),
    ]  # fmt: skip


def test_the_other_piece_of_a_found_cell_is_marked() -> None:
    shown = error_map(labelled(20, (1, 11)), labelled(20, (1, 8), (8, 11)))
    assert [CellKind(shown.kinds[2, column]).name for column in (2, 9)] == ["FOUND", "SPLIT"]
    assert [kind.name for *_, kind in shown.marks()] == ["SPLIT"]


def test_the_slice_and_the_part_with_the_most_errors_are_shown() -> None:
    truth = np.stack([labelled(1400, *columns) for columns in ([(3, 7)], [(1300, 1360)], [])])
    nothing = np.zeros_like(truth)
    found = region_scores(truth[1], nothing[1], num_slices=3)
    shown = make_error_map(found, truth[None], truth, nothing, cell_errors(truth, nothing))
    assert (shown.z, shown.labels.shape) == (1, (6, 512))
    assert (shown.kinds == CellKind.MISSED).sum() == 4 * 60
    assert not shown.is_whole


def test_signs_lie_inside_the_picture() -> None:
    shown = error_map(labelled(40, (0, 2)), labelled(40, (36, 40)))
    assert [float(x) for x in Page("".join(signs(shown, 6.0))).values("x")] == [3, 37]


def test_the_section_counts_and_shows_the_errors() -> None:
    truth, proposal = example()
    found, shown = region_scores(truth, proposal, "img"), error_map(truth, proposal)
    page = Page(errors_section(held_out(NOTHING_SHOWN, [found, found], [shown])))
    words = " ".join(page.words.split())
    assert "found 2 2 missed 2 spurious 2 split 2 4 merged 4 2" in words
    assert "2 cells are split and 2 proposals merge cells" in words
    assert "2 more proposals lie mostly in ignored pixels" in words
    one = "1 found, 1 missed, 1 split and 2 merged cells; 1 spurious proposal"
    assert page.values("alt") == ["Image a", f"The errors in a, in colour and with signs: {one}"]
    assert f"White: outlines of the true cells. {one}." in words
    for entry in ("\N{MINUS SIGN} missed", "+ spurious", "/ split", "& merged", "found: matched"):
        assert entry in words


def test_without_errors_no_map_is_shown() -> None:
    truth, _ = example()
    page = Page(errors_section(held_out(NOTHING_SHOWN, [region_scores(truth, np.maximum(truth, 0))])))
    assert "no map is shown" in page.words
    assert not page.values("alt")
