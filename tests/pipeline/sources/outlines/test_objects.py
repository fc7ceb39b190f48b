import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unetprep.sources.outlines import objects
from unetprep.sources.outlines.objects import Outline, Outlines
from unetprep.sources.outlines.shapes import Bitmap, Ellipse, Polygon

SHAPE = (1, 20, 23)
triangles = st.lists(st.tuples(*[st.integers(-20, 120).map(lambda n: n / 4)] * 6), min_size=1, max_size=6)


def outlines(triangles: list[tuple[float, ...]]) -> Outlines:
    parts = [Polygon((np.array(points, float).reshape(3, 2),)) for points in triangles]
    return Outlines(tuple(Outline(f"object {k}", (part,)) for k, part in enumerate(parts)))


def whole(of: Outlines) -> NDArray[np.int32]:
    return of.draw(0, (0, 0, *SHAPE[1:]))


@settings(deadline=None)
@given(triangles, st.integers(1, 19), st.integers(1, 22))
def test_windows_are_parts_of_the_whole(given: list[tuple[float, ...]], y: int, x: int) -> None:
    of = outlines(given)
    bottom, right = SHAPE[1:]
    rows = [
        [of.draw(0, (0, 0, y, x)), of.draw(0, (0, x, y, right))],
        [of.draw(0, (y, 0, bottom, x)), of.draw(0, (y, x, bottom, right))],
    ]
    np.testing.assert_array_equal(np.block(rows), whole(of))


@settings(deadline=None)
@given(triangles)
def test_the_survey_counts_what_is_lost_whatever_the_windows(given: list[tuple[float, ...]]) -> None:
    of = outlines(given)
    alone = [whole(outlines([triangle])) > 0 for triangle in given]
    pixels = sum(
        int((alone[k] & np.logical_or.reduce([np.zeros(SHAPE[1:], bool), *alone[:k]])).sum()) for k in range(len(alone))
    )
    hidden = sum(mask.any() and k + 1 not in whole(of) for k, mask in enumerate(alone))
    with pytest.MonkeyPatch.context() as patch:
        for block in (7, 2048):
            patch.setattr(objects, "BLOCK", block)
            found = of.survey(SHAPE)
            assert (found.objects, found.pixels, found.hidden) == (len(given), pixels, hidden)
            assert found.outside + found.empty == sum(not mask.any() for mask in alone)


def test_shapes_of_all_kinds_keep_to_their_bounds() -> None:
    for shape in (
        Ellipse((2, 3, 9, 12)),
        Bitmap(4, 5, np.ones((3, 2), bool)),
        Polygon((np.array([(1.2, 3), (9, 4), (5, 11.8)]),)),
    ):
        top, left, bottom, right = shape.bounds
        mask = shape.fill((0, 0, *SHAPE[1:]))
        np.testing.assert_array_equal(shape.fill(shape.bounds), mask[top:bottom, left:right])
        mask[top:bottom, left:right] = False
        assert not mask.any()


def test_an_image_without_objects() -> None:
    none = Outlines(())
    none.check("x", SHAPE)
    assert not whole(none).any()
    assert none.survey(SHAPE).objects == 0
