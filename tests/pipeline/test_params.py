"""Absurd but well-formed numbers and texts are refused before anything is computed or allocated."""

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unettrain.errors
from unetcli.prep.plan import sides
from unetprep.engine.scheduler import Scheduler, Tls
from unetprep.errors import InvalidInput
from unetprep.estimate.synthetic import forecast_synthetic
from unetprep.parameter import Params
from unetprep.params import (
    ClusterParams,
    DeformParams,
    ImportParams,
    LintParams,
    TilesParams,
    VerifyParams,
    WeightsParams,
    parse_bytes,
    parse_time,
)
from unetprep.recipe import read_recipe
from unettrain.config import FitConfig

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


@pytest.mark.parametrize("name", ["blur", "shift", "rotation", "scale", "noise", "batch_size", "steps"])
def test_a_training_is_bounded_too(name: str) -> None:
    with pytest.raises(unettrain.errors.InvalidInput, match=r"is .*\n  allowed: [01] to \d+"):
        build(FitConfig, {name: 10**13})


@pytest.mark.parametrize("shape", ["100000000,64,64", "1,100000000,100000000", "1000000000,1,1,1"])
def test_a_forecast_counts_only_what_can_be_counted(shape: str) -> None:
    with pytest.raises(InvalidInput, match=r"shards|declares"):
        forecast_synthetic(sides(shape), 1, None, 2, "uint8", Scheduler())


def test_a_forecast_of_more_cells_than_pixels_is_refused() -> None:
    with pytest.raises(InvalidInput, match="up to one in 16 pixels, 256"):
        forecast_synthetic((1, 1, 64, 64), 1, 257, 2, "uint8", Scheduler())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[weights]\nsigma = 1" + "0" * 400, "a float64 number"),
        ('[import]\nlabels = "a\\u0000b.tif"', "no line breaks"),
        ('out = "a\\nb.zarr"\n[import]\nlabels = "a.tif"', "no line breaks"),
    ],
)
def test_values_of_a_recipe_are_checked(tmp_path: Path, text: str, message: str) -> None:
    labels = "" if "[import]" in text else '[import]\nlabels = "a"\n'
    (tmp_path / "r.toml").write_text(text if text.startswith("out") else f'out = "a.zarr"\n{labels}{text}')
    with pytest.raises(InvalidInput, match=message):
        read_recipe(str(tmp_path / "r.toml"))


@pytest.mark.parametrize("text", ["9" * 400 + "GB", "99999TiB", "0B", "1e3GB", "٣GB"])
def test_memory_is_a_plain_number(text: str) -> None:
    with pytest.raises(InvalidInput, match="memory is"):
        parse_bytes(text)


@pytest.mark.parametrize("text", ["9" * 5000, "1:" + "9" * 20, "99999-00", "٣:00:00"])
def test_times_are_plain_numbers(text: str) -> None:
    with pytest.raises(InvalidInput, match="walltime is"):
        parse_time(text)


@pytest.mark.parametrize("text", ["cpu\n#SBATCH --x", "cpu\r", "a\x1b[2J", "a\u2028b", "a\0"])
@pytest.mark.parametrize("name", [f.name for f in fields(ClusterParams) if f.type in (str, tuple[str, ...])])
def test_no_text_of_a_job_holds_a_line_break(name: str, text: str) -> None:
    value = (text,) if name == "job_extra" else text
    with pytest.raises(InvalidInput, match="without line breaks"):
        build(ClusterParams, {name: value})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("queue", "cpu --wrap=x"), ("queue", "-p"), ("account", "a b"), ("interface", "ib0; x"), ("interface", "$(x)"),
        ("python", "python; x"), ("python", "`x`"), ("local_folder", "/tmp && x"), ("local_folder", "$(x)"),
    ],
)  # fmt: skip
def test_no_text_of_a_job_is_more_than_a_word(name: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=name.replace("_", "-")):
        build(ClusterParams, {name: text})


def test_usual_texts_of_a_job_are_taken() -> None:
    ClusterParams(
        queue="gpu,cpu-long", account="lab_1@site", interface="ib0", python="~/envs/u.1/bin/python",
        local_folder="/scratch/${USER}/$SLURM_JOB_ID", job_extra=("--qos=low", "--constraint=[a&b]"),
    )  # fmt: skip


def test_workers_of_one_machine_and_tls_files_of_slurm_are_checked(tmp_path: Any) -> None:
    with pytest.raises(InvalidInput, match="1 to 1024"):
        Scheduler("processes", 2000)
    Scheduler("slurm", 2000, memory_bytes=2**30)
    paths = [tmp_path / name for name in ("a b", "cert", "key")]
    for path in paths:
        path.write_text("")
    with pytest.raises(InvalidInput, match="for Slurm, whose job scripts name them"):
        Scheduler("slurm", memory_bytes=2**30, tls=Tls(*map(str, paths)))


def test_numbers_are_numbers_and_equal_values_are_one_parameter() -> None:
    params = WeightsParams(spacing=(4, 1, 1), class_weights=(1, 2), sigma=5)
    assert params == WeightsParams(spacing=np.array([4, 1, 1]), class_weights=[1.0, 2.0], sigma=np.float32(5))  # type: ignore[arg-type]
    assert (params.spacing, params.fixed_class_weights()) == ((4.0, 1.0, 1.0), (1.0, 2.0))
    assert DeformParams(grid=(3, 5)).nodes() == (3, 5)
    with pytest.raises(InvalidInput, match=r"spacing is '4,1,1'\n  allowed: two or three numbers"):
        WeightsParams(spacing="4,1,1")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"sigma is '5'\n  allowed: a number"):
        WeightsParams(sigma="5")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("weights", "deform"),
    [
        ('spacing = "4,1,1"\nclass-weights = "1,2.5"', 'grid = "3,5"'),
        ("spacing = [4, 1, 1]\nclass-weights = [1, 2.5]", "grid = [3, 5]"),
    ],
)
def test_a_recipe_gives_numbers_as_text_or_as_lists(tmp_path: Path, weights: str, deform: str) -> None:
    imports = '[import]\nlabels = "a.tif"\ndims = "3"\nconnectivity = 26\n'
    (tmp_path / "r.toml").write_text(f'out = "a.zarr"\n{imports}[weights]\n{weights}\n[deform]\n{deform}\n')
    recipe = read_recipe(str(tmp_path / "r.toml"))
    assert recipe.importing == ImportParams(dims=3, connectivity=26)
    assert recipe.stages["weights"] == WeightsParams(spacing=(4, 1, 1), class_weights=(1, 2.5))
    assert recipe.stages["deform"] == DeformParams(grid=(3, 5))
