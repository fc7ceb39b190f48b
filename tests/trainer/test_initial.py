"""Fine-tuning: what is taken from another network, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.test_training_loop import assert_same_run, quick, stop_at
from unettrain.checkpoint import load_checkpoint
from unettrain.config import FitConfig
from unettrain.errors import Conflict, InvalidInput
from unettrain.training_loop import fit

MakeStore = Callable[..., Path]


def own(**values: Any) -> FitConfig:
    """A configuration that leaves the shape of the network to its source."""
    return quick(base_channels=FitConfig().base_channels, **values)


@pytest.fixture
def trained(make_store: MakeStore, tmp_path: Path) -> tuple[Path, Path]:
    store, run = make_store(), tmp_path / "first"
    fit(store, run, quick(base_channels=3, steps=3))
    return store, run


def test_training_goes_on_from_the_weights_of_another_run(trained: tuple[Path, Path], tmp_path: Path) -> None:
    store, first = trained
    said = list[str]()
    fit(store, tmp_path / "second", own(steps=1, learning_rate=1e-30), initial=first, on_notice=said.append)
    made, source = load_checkpoint(tmp_path / "second" / "last.pt"), load_checkpoint(first / "best.pt")
    torch.testing.assert_close(made.weights, source.weights, rtol=0, atol=0)
    assert made.network.base_channels == 3  # of the source, where the configuration does not ask for another
    assert said == [f"initial weights of {first}, step 3: all layers"]


def test_other_classes_get_a_new_last_layer(trained: tuple[Path, Path], tmp_path: Path) -> None:
    store, first = trained
    said = list[str]()
    config = quick(base_channels=3, steps=1, learning_rate=1e-30, num_classes=3)
    fit(store, tmp_path / "second", config, initial=first / "last.pt", on_notice=said.append)
    made, source = load_checkpoint(tmp_path / "second" / "last.pt"), load_checkpoint(first / "last.pt")
    assert made.weights["head.weight"].shape[0] == 3
    rest = [name for name in source.weights if not name.startswith("head")]
    torch.testing.assert_close([made.weights[n] for n in rest], [source.weights[n] for n in rest], rtol=0, atol=0)
    assert said[0].endswith("all layers but head, which is new (2 classes there, 3 here)")


def test_other_channels_get_a_new_first_layer(
    trained: tuple[Path, Path], make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path
) -> None:
    _, first = trained
    sample = cells(60, 3)
    two = type(sample)(torch.from_numpy(sample.image).repeat(2, 1, 1, 1).numpy(), sample.target, sample.weights)
    said = list[str]()
    fit(make_store([two]), tmp_path / "second", own(steps=1), initial=first, on_notice=said.append)
    made = load_checkpoint(tmp_path / "second" / "last.pt")
    assert made.weights["down.0.0.weight"].shape[1] == 2
    assert "all layers but down.0.0, which is new (1 channels there, 2 here)" in said[0]


@pytest.mark.parametrize("normalization", ["batch", "instance"])
def test_normalised_networks_get_new_first_and_last_layers(
    make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path, normalization: str
) -> None:
    sample = cells(60, 3)
    two = type(sample)(torch.from_numpy(sample.image).repeat(2, 1, 1, 1).numpy(), sample.target, sample.weights)
    fit(make_store(), tmp_path / "first", quick(steps=1, normalization=normalization, ema=0.5))
    said = list[str]()
    config = own(steps=1, num_classes=3, ema=0.5)
    fit(make_store([two]), tmp_path / "second", config, initial=tmp_path / "first", on_notice=said.append)
    assert all(f"{layer}, which is new" in said[0] for layer in ("down.0.0", "head"))


def test_a_shape_that_was_asked_for_is_not_replaced_silently(trained: tuple[Path, Path], tmp_path: Path) -> None:
    store, first = trained
    with pytest.raises(InvalidInput, match=r"base-channels is 16, and the network of .* has 3"):
        fit(store, tmp_path / "second", own(), initial=first, given=["base_channels"])


@pytest.mark.parametrize("source", [".", "best.pt", "last.pt"])
def test_a_run_is_not_overwritten_by_one_that_begins_with_it(
    trained: tuple[Path, Path], tmp_path: Path, source: str
) -> None:
    store, first = trained
    before = (first / "best.pt").read_bytes()
    with pytest.raises(InvalidInput, match="which would be overwritten, and the training could not be resumed"):
        fit(store, first, own(steps=1), initial=first / source, overwrite=True)
    assert (first / "best.pt").read_bytes() == before


def test_another_shape_is_refused(trained: tuple[Path, Path], tmp_path: Path) -> None:
    store, first = trained
    with pytest.raises(InvalidInput, match=r"base-channels is 2, and the network of .* has 3\n  allowed: its own"):
        fit(store, tmp_path / "second", quick(base_channels=2), initial=first)
    assert not (tmp_path / "second").exists()


def test_the_initial_weights_belong_to_the_run(trained: tuple[Path, Path], tmp_path: Path) -> None:
    store, first = trained
    config = quick(base_channels=3)
    fit(store, tmp_path / "straight", config, initial=first)
    with pytest.raises(KeyboardInterrupt):
        fit(store, tmp_path / "stopped", config, initial=first, on_progress=stop_at(2))
    with pytest.raises(Conflict, match=r"initial weights: [0-9a-f]{64} there, None now"):
        fit(store, tmp_path / "stopped", config)
    fit(store, tmp_path / "stopped", config, initial=first)
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")
