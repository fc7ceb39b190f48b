"""Options of `unettrain fit` that are no fields of the configuration: --preset and --from; notices and progress."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL, Run
from unettrain.config import PRESETS, FitConfig
from unettrain.errors import Failure, InvalidInput
from unettrain.ranks import Ranks

QUICK = "--steps 2 --threads 1 --examples 0"


def recorded(run_dir: str) -> dict[str, object]:
    return dict(json.loads(Path(run_dir, "config.json").read_text())["fit"])


def test_a_preset_sets_what_is_not_given(run: Run, store: Path) -> None:
    run(f"unettrain fit ds.zarr --run r --preset paper {QUICK} --base-channels 2 -q")
    found = recorded("r")
    assert (found["optimizer"], found["momentum"], found["dropout"]) == ("sgd", 0.99, 0.5)
    assert (found["base_channels"], found["steps"]) == (2, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--preset demo", "fit: preset demo: --steps 400 --validate-every 50 --threads 1\n"),
        ("--preset demo --steps 9", "fit: preset demo: --validate-every 50 --threads 1\n"),
        ("--preset small", "fit: preset small: --base-channels 8 --steps 500 --validate-every 100\n"),
        ("--preset small --from net", "fit: preset small: --steps 500 --validate-every 100\n"),
        ("", ""),
        ("--preset demo --quiet", ""),
    ],
)
def test_the_options_of_a_preset_that_take_effect_are_printed(
    run: Run, monkeypatch: pytest.MonkeyPatch, options: str, said: str
) -> None:
    def fit(*args: object, **options: object) -> None:
        raise Failure("far enough")

    monkeypatch.setattr("unettrain.training_loop.fit", fit)
    assert run(f"unettrain fit ds.zarr {options}", 1).stderr == f"{said}error: far enough\n"


def test_the_demo_is_a_preset() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    assert "unettrain fit demo/nuclei.zarr --run demo/run --preset demo\n" in makefile


def test_a_value_that_equals_the_default_counts_as_given(run: Run, store: Path) -> None:
    usual = FitConfig().steps
    assert PRESETS["small"]["steps"] != usual
    run("unettrain fit ds.zarr --run r --preset small --steps 1 --base-channels 2 --threads 1 -q")
    assert recorded("r")["steps"] == 1
    line = f"unettrain fit ds.zarr --run s --preset small --base-channels {PRESETS['small']['base_channels']} --steps 1"
    run(f"{line} --threads 1 -q")
    assert recorded("s")["base_channels"] == PRESETS["small"]["base_channels"]


def test_fine_tuning_takes_the_shape_of_its_source_unless_told_otherwise(run: Run, store: Path) -> None:
    run(f"unettrain fit ds.zarr --run r {QUICK} --base-channels 2 --padding same -q")
    run(f"unettrain fit ds.zarr --run s {QUICK} --preset small --from r -q")
    assert (recorded("s")["base_channels"], recorded("s")["padding"]) == (2, "same")
    said = run(f"unettrain fit ds.zarr --run t {QUICK} --padding valid --from r -q", 3).stderr
    assert "padding is valid, and the network of r has same" in said


@pytest.mark.parametrize(
    ("options", "size"),
    [("", 4), ("--accumulate 2", 8), ("--batch-size 12", 12), ("--run done", 8), ("--run done --overwrite", 4)],
)
def test_several_processes_take_a_tile_each_unless_told_otherwise(
    run: Run, store: Path, monkeypatch: pytest.MonkeyPatch, options: str, size: int
) -> None:
    run(f"unettrain fit ds.zarr --run done {QUICK} --base-channels 2 --batch-size 8 --steps 1 -q --accumulate 8")
    asked = list[FitConfig]()

    def fit(store: str, run_dir: str, config: FitConfig, **more: object) -> None:
        asked.append(config)
        raise Failure("far enough")

    monkeypatch.setattr("unettrain.training_loop.fit", fit)
    monkeypatch.setattr("unetcli.train.fit.launched", lambda: Ranks(1, 4, 1, 4))
    run(f"unettrain fit ds.zarr {options}", 1)
    assert asked[0].batch_size == size


def test_the_warm_up_of_a_preset_fits_into_the_steps_that_are_given() -> None:
    assert FitConfig.preset("fast").warmup_steps == 20
    assert FitConfig.preset("fast", steps=6).warmup_steps == 0
    assert FitConfig.preset("large", steps=900).warmup_steps == 90
    with pytest.raises(InvalidInput, match="warmup-steps is 9"):
        FitConfig.preset("fast", steps=6, warmup_steps=9)


def test_an_unknown_preset_is_refused(run: Run, store: Path) -> None:
    said = run("unettrain fit ds.zarr --preset huge", 2).stderr
    assert all(name in said for name in PRESETS)
    with pytest.raises(InvalidInput, match="preset is 'huge'\n  allowed: standard, demo, small, fast, large, paper"):
        FitConfig.preset("huge")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_configuration(name: str) -> None:
    assert FitConfig.preset(name, seed=3).seed == 3


def test_fine_tuning_says_what_it_takes(run: Run, store: Path) -> None:
    run(f"unettrain fit ds.zarr --run first {SMALL} -q")
    done = run(f"unettrain fit ds.zarr --run second --from first {QUICK} --num-classes 3")
    assert "fit: initial weights of first, step " in done.stderr
    assert "all layers but head, which is new (2 classes there, 3 here)" in done.stderr
    assert recorded("second")["base_channels"] == 2
    missing = run("unettrain fit ds.zarr --run third --from nowhere.pt", 3).stderr
    assert "there is no checkpoint at nowhere.pt" in missing
    assert not Path("third").exists()


def test_a_long_training_is_announced_once(run: Run, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unettrain.pace.SETTLED_S", 0.0)
    monkeypatch.setattr("unettrain.pace.SAID_S", 0.0)
    monkeypatch.setattr("unettrain.pace.LONG_S", 0.0)
    done = run(f"unettrain fit ds.zarr --run r {SMALL} --base-channels 9")
    assert done.stderr.count("on this CPU; --preset small (8 channels instead of 9") == 1


def test_the_result_gives_the_scores_of_the_best_network(run: Run, store: Path) -> None:
    done = run(f"unettrain fit ds.zarr --run r {SMALL} -q")
    assert "best.pt on the validation split: loss " in done.stdout
    told = json.loads(run(f"unettrain fit ds.zarr --run r {SMALL} -q --json").stdout)
    assert 0 <= told["val_ap"] <= 1
    assert told["ended_early"] is False
