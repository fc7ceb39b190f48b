"""Absurd but well-formed numbers and texts are refused before anything is computed or allocated."""

import math
from dataclasses import fields
from typing import Any

import pytest

from unetprep.errors import InvalidInput
from unetprep.parameter import Params
from unetprep.params import (
    ClusterParams,
    DeformParams,
    ImportParams,
    LintParams,
    TilesParams,
    VerifyParams,
    WeightsParams,
)

REFUSED: list[tuple[type[Params], dict[str, Any]]] = [
    (WeightsParams, {"sigma": 1e9}),
    (WeightsParams, {"sigma": 400.0}),
    (WeightsParams, {"formula": "falk2019", "rim_sigma": 1e8}),
    (WeightsParams, {"spacing": (1e-9, 1e-9)}),
    (WeightsParams, {"spacing": (1e-300, 1)}),
    (WeightsParams, {"spacing": (1e9, 1)}),
    (TilesParams, {"margin_px": 10**8}),
    (TilesParams, {"random": 10**12}),
    (TilesParams, {"tile_px": 16 * 10**8 + 60}),
    (TilesParams, {"depth": 11}),
    (DeformParams, {"fields": 10**12}),
    (DeformParams, {"tile_px": 10**9}),
    (DeformParams, {"tile_px": 4096, "grid": (4000, 4000)}),
    (DeformParams, {"max_folding": 1.5}),
    (LintParams, {"tiny_px": 10**13}),
    (VerifyParams, {"samples": 10**10}),
    (ImportParams, {"ignore_label": 10**30}),
    (ImportParams, {"seed": 2**64}),
    (ClusterParams, {"workers": 10**6}),
    (ClusterParams, {"cores": 10**6}),
    (ClusterParams, {"walltime": "9" * 30 + ":00:00"}),
    (ClusterParams, {"walltime": "99999-00"}),
]


def build(kind: type, values: dict[str, Any]) -> object:
    return kind(**values)


@pytest.mark.parametrize(("kind", "values"), REFUSED)
def test_numbers_beyond_their_limits_name_them(kind: type[Params], values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"(?s)is .*allowed: "):
        kind(**values)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [WeightsParams, DeformParams, ImportParams])
def test_no_number_is_nan_or_infinite(kind: type[Params], value: float) -> None:
    names = [f.name for f in fields(kind) if f.type in (float, float | None)]
    assert names
    for name in names:
        with pytest.raises(InvalidInput, match=r"is (nan|inf|-inf)"):
            build(kind, {"formula": "falk2019", name: value} if kind is WeightsParams else {name: value})


def test_limits_leave_room_for_what_is_used() -> None:
    WeightsParams(sigma=300.0)
    WeightsParams(sigma=5e-3, spacing=(1e-3, 1e-3))
    WeightsParams(sigma=5000.0, spacing=(4000, 150, 150))
    TilesParams(tile_px=8188, margin_px=4096)
    DeformParams(fields=10**6, tile_px=8188)
    ImportParams(seed=2**64 - 1, ignore_label=-(2**63))
