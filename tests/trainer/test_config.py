"""The parameters, and that looking at them is cheap."""

import ast
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import unetprep
import unettrain
import unettrain.errors
import unettrain.training_loop
from tests.contract.test_imports import SHARED
from unettrain.config import Augmentation, FitConfig, UNetConfig
from unettrain.errors import InvalidInput


@pytest.mark.parametrize("cls", [FitConfig, UNetConfig])
def test_every_field_has_help_that_ends_in_a_stop(cls: type) -> None:
    for f in fields(cls):
        assert f.metadata["help"].rstrip("]").endswith((".", "cores", "adamw", "store")), f.name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps is 0\n  allowed: 1 to 1000000000000"),
        ({"optimizer": "rmsprop"}, "optimizer is 'rmsprop'\n  allowed: sgd, adam, adamw"),
        ({"normalizer": "mean"}, "allowed: weights, pixels, none"),
        ({"momentum": 1.0}, "momentum is 1.0\n  allowed: at least 0 and under 1"),
        ({"dropout": 1.0}, "dropout is 1.0\n  allowed: at least 0 and under 1"),
        ({"learning_rate": -1.0}, "learning-rate is -1.0"),
        ({"learning_rate": float("nan")}, "learning-rate is nan"),
        ({"learning_rate": 0.0}, "learning-rate is 0.0\n  allowed: above 0, and finite"),
        ({"learning_rate": float("inf")}, "learning-rate is inf\n  allowed: above 0, and finite"),
        ({"learning_rate": "0.1"}, "learning-rate is '0.1'\n  allowed: a number"),
        ({"momentum": float("nan")}, "momentum is nan"),
        ({"steps": 10, "warmup_steps": 11}, "warmup-steps is 11: .*\n  allowed: at most 10, the number of steps"),
        ({"steps": 1.5}, "steps is 1.5\n  allowed: an integer"),
        ({"steps": True}, "steps is True\n  allowed: an integer"),
        ({"deform": 1}, "deform is 1\n  allowed: true or false"),
        ({"optimizer": ["sgd"]}, "optimizer is .*allowed: sgd, adam, adamw"),
        ({"blur": 1e6}, "blur is 1000000.0\n  allowed: 0 to 100"),
        ({"base_channels": 10**6}, "base-channels is 1000000\n  allowed: 1 to 4096"),
        ({"num_classes": 257}, "num-classes is 257"),
        ({"seed": -1}, "seed is -1"),
        ({"num_classes": 1}, "num-classes is 1"),
        ({"variant": "v2"}, "allowed: paper, release"),
        ({"amp": "float16"}, "allowed: none, bf16, fp16"),
        ({"batch_size": 4, "accumulate": 3}, "a batch of 4 tiles cannot be divided into 3 equal parts"),
    ],
)
def test_a_bad_value_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=rf"(?s){message}"):
        FitConfig(**values)


def test_the_network_takes_channels_and_depth_from_the_tiles() -> None:
    config = FitConfig(base_channels=8, variant="release", dropout=0.2, num_classes=3)
    assert config.network(2, 3) == UNetConfig(2, 3, 8, 3, "release", 0.2)
    assert FitConfig().learning_rate == 1e-3


def test_the_public_names_are_there_and_fit_stays_a_function() -> None:
    assert all(hasattr(unettrain, name) for name in unettrain.__all__)
    assert unettrain.fit is unettrain.training_loop.fit
    assert unettrain.metrics.Overlap().iou == 1
    assert unettrain.__version__ == unetprep.__version__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        unettrain.nothing  # noqa: B018


def test_importing_the_package_and_the_parameters_leaves_the_heavy_ones_out() -> None:
    code = "import sys, unettrain, unettrain.config; print([m for m in ('torch', 'zarr', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_trainer_imports_neither_dask_nor_xarray_and_of_the_pipeline_the_shared_packages_alone() -> None:
    sources = sorted(Path(unettrain.__file__).parent.rglob("*.py"))
    nodes = [node for source in sources for node in ast.walk(ast.parse(source.read_text()))]
    modules = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert len(sources) > 15
    assert not {m for m in modules if m.split(".")[0] in ("dask", "distributed", "xarray", "unetcli", "click")}
    allowed = {f"unetprep.{name}" for name in SHARED}
    assert {".".join(m.split(".")[:2]) for m in modules if m.startswith("unetprep")} <= allowed


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"rotation": -1.0}, "rotation is -1.0\n  allowed: 0 to 360"),
        ({"scale": 0.9}, "scale is 0.9\n  allowed: 1 to 16"),
        ({"shift": float("nan")}, "shift is nan"),
        ({"noise": float("inf")}, "noise is inf"),
        ({"blur": -0.1}, "blur is -0.1"),
    ],
)
def test_what_no_augmentation_is_is_refused(chosen: dict[str, float], message: str) -> None:
    for kind in (Augmentation, FitConfig):
        with pytest.raises(InvalidInput) as caught:
            kind(**chosen)  # type: ignore[arg-type]
        assert message in str(caught.value)


def build(kind: type, values: dict[str, Any]) -> object:
    return kind(**values)


@pytest.mark.parametrize("name", ["blur", "shift", "rotation", "scale", "noise", "batch_size", "steps"])
def test_a_training_is_bounded_too(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"is .*\n  allowed: [01] to \d+"):
        build(FitConfig, {name: 10**13})


def test_the_number_of_steps_belongs_to_a_run_whose_rate_depends_on_it() -> None:
    assert "steps" not in FitConfig(schedule="constant").decisive()
    assert FitConfig(schedule="cosine", steps=7).decisive()["steps"] == 7
    assert "device" not in FitConfig(schedule="cosine").decisive()
