"""Share of pixels at which a field folds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetprep import displacement_field
from unetprep.kernels.folding import folded_shares
from unetprep.kernels.random_fields import draw_grids


@given(st.sampled_from([("bspline", 3), ("bspline", 6), ("bspline-approx", 5)]), st.integers(0, 50))
def test_the_share_that_folds_is_that_of_the_jacobian(kind: tuple[str, int], seed: int) -> None:
    interpolation, nodes = kind
    grid = draw_grids(seed, [7], (nodes, nodes), 60.0)
    field = displacement_field(grid[0], (251, 181), interpolation)
    (yy, yx), (xy, xx) = ((np.gradient(part, axis=0), np.gradient(part, axis=1)) for part in field)
    folded = (1 + yy) * (1 + xx) - yx * xy <= 0
    assert folded_shares(grid, (251, 181), interpolation)[0] == pytest.approx(folded.mean(), abs=0.004)


def test_small_deformations_do_not_fold_and_large_ones_do() -> None:
    assert not folded_shares(draw_grids(0, range(1000), (3, 3), 10.0), (572, 572), "bspline").any()
    assert (folded_shares(draw_grids(0, range(1000), (3, 3), 10.0), (188, 188), "bspline") > 0).sum() == 1
    assert (folded_shares(draw_grids(0, range(200), (3, 3), 100.0), (572, 572), "bspline") > 0).mean() > 0.5
