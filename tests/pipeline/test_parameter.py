"""Parameters: their numbers, texts and lists."""

import math
from dataclasses import dataclass, fields

import numpy as np
import pytest

from unetprep.errors import InvalidInput
from unetprep.parameter import Params, as_text, integers, numbers, option_name, parameter, value_from
from unetprep.params import (
    DeformParams,
    WeightsParams,
)


def test_numbers_are_numbers_and_equal_values_are_one_parameter() -> None:
    params = WeightsParams(spacing=(4, 1, 1), class_weights=(1, 2), sigma=5)
    assert params == WeightsParams(spacing=np.array([4, 1, 1]), class_weights=[1.0, 2.0], sigma=np.float32(5))  # type: ignore[arg-type]
    assert (params.spacing, params.fixed_class_weights()) == ((4.0, 1.0, 1.0), (1.0, 2.0))
    assert DeformParams(grid=(3, 5)).nodes() == (3, 5)
    with pytest.raises(InvalidInput, match=r"spacing is '4,1,1'\n  allowed: two or three numbers"):
        WeightsParams(spacing="4,1,1")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"sigma is '5'\n  allowed: a number"):
        WeightsParams(sigma="5")  # type: ignore[arg-type]


@dataclass(frozen=True)
class Example(Params):
    sigma: float = parameter(5.0, "A number.", above=0, most=100)
    tile_px: int = parameter(8, "A whole number.", least=4, most=64)
    share: float = parameter(0.0, "A share.", least=0, under=1)
    spacing: tuple[float, ...] | None = parameter(None, "Numbers.", parse=numbers)
    sides: tuple[int, ...] | None = parameter(None, "Whole numbers.", parse=integers)
    dims: int = parameter(2, "A choice.", choices=(2, 3))
    name: str = parameter("", "A word.", form=(r"\w+", "one word"))
    words: tuple[str, ...] = parameter((), "Words.")
    dense: bool = parameter(False, "Yes or no.")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("sigma", 0, "above 0 and up to 100"),
        ("sigma", 100.5, "above 0 and up to 100"),
        ("sigma", math.nan, "above 0"),
        ("sigma", True, "a number"),
        ("tile_px", 3, "4 to 64"),
        ("tile_px", 65, "4 to 64"),
        ("tile_px", 8.0, "an integer"),
        ("share", 1, "at least 0 and under 1"),
        ("dims", 4, "2, 3"),
        ("name", "two words", "one word"),
        ("name", "a\nb", "without line breaks"),
        ("words", ("a", "b\x1b"), "without line breaks"),
        ("words", "a", "tuple"),
        ("dense", 1, "true or false"),
    ],
)
def test_a_value_beyond_its_field_is_refused_with_what_is_allowed(name: str, value: object, allowed: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^{option_name(name)} is (.|\n)*  allowed: .*{allowed}"):
        Example(**{name: value})  # type: ignore[arg-type]


def test_values_at_the_bounds_are_taken() -> None:
    for name, value in (("sigma", 1e-9), ("sigma", 100), ("tile_px", 4), ("tile_px", 64), ("share", 0), ("dims", 3)):
        assert getattr(Example(**{name: value}), name) == value  # type: ignore[arg-type]


def test_numbers_are_floats_and_lists_are_tuples() -> None:
    example = Example(sigma=5, spacing=[4, 1], words=["a"])  # type: ignore[arg-type]
    assert example == Example(sigma=5.0, spacing=(4.0, 1.0), words=("a",))
    assert (type(example.sigma), type(example.spacing), type(example.tile_px)) == (float, tuple, int)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("spacing", "4,1.5", (4.0, 1.5)),
        ("spacing", "", None),
        ("spacing", 2, (2.0,)),
        ("spacing", "4,x", "4,x"),
        ("spacing", (4, 1), (4, 1)),
        ("sides", "8,16", (8, 16)),
        ("sides", "8,1.5", "8,1.5"),
        ("dims", "3", 3),
        ("dims", "4", "4"),
        ("sigma", 5, 5),
        ("dense", True, True),
    ],
)
def test_text_becomes_a_value_where_the_parameter_has_a_text_form(name: str, given: object, value: object) -> None:
    (of,) = (f for f in fields(Example) if f.name == name)
    assert value_from(of, given) == value


def test_names_and_values_are_written_as_on_the_command_line() -> None:
    assert [option_name(name) for name in ("tile_px", "max_folding", "sigma")] == ["tile", "max-folding", "sigma"]
    assert [as_text(value) for value in ((4.0, 1.5), 5.0, 1e300, "a", None)] == ["4,1.5", "5", "1e+300", "'a'", "None"]
