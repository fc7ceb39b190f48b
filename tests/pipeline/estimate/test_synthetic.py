"""Forecasts for shapes alone."""

import pytest

from unetcli.prep.plan import sides
from unetprep.engine.scheduler import Scheduler
from unetprep.errors import InvalidInput
from unetprep.estimate.synthetic import forecast_synthetic


@pytest.mark.parametrize("shape", ["100000000,64,64", "1,100000000,100000000", "1000000000,1,1,1"])
def test_a_forecast_counts_only_what_can_be_counted(shape: str) -> None:
    with pytest.raises(InvalidInput, match=r"shards|declares"):
        forecast_synthetic(sides(shape), 1, None, 2, "uint8", Scheduler())


def test_a_forecast_of_more_cells_than_pixels_is_refused() -> None:
    with pytest.raises(InvalidInput, match="up to one in 16 pixels, 256"):
        forecast_synthetic((1, 1, 64, 64), 1, 257, 2, "uint8", Scheduler())
