"""Networks that do not fit into memory."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trainer.test_training_loop import quick
from unettrain import memory
from unettrain.config import FitConfig, UNetConfig
from unettrain.errors import InvalidInput
from unettrain.model import UNet
from unettrain.training_loop import fit

MakeStore = Callable[..., Path]


def test_a_network_larger_than_the_memory_is_refused_before_it_is_made(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "total_memory", lambda: 12_000)
    with pytest.raises(InvalidInput, match=r"needs 0\.0 GiB of memory .*\n  to do:   fewer base-channels than 8"):
        fit(make_store(), tmp_path / "run", quick(base_channels=8))
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(memory, "total_memory", lambda: None)
    fit(tmp_path / "ds.zarr", tmp_path / "run", quick(steps=1))


@pytest.mark.parametrize(("optimizer", "copies"), [("sgd", 3), ("adam", 4)])
def test_gradients_and_moments_count_on_the_cpu_alone(
    monkeypatch: pytest.MonkeyPatch, optimizer: str, copies: int
) -> None:
    network = UNetConfig(base_channels=2, depth=1)
    num_bytes = 4 * sum(p.numel() for p in UNet(network, seed=None).parameters())
    config = FitConfig(optimizer=optimizer)
    monkeypatch.setattr(memory, "total_memory", lambda: copies * num_bytes)
    memory.check_memory(network, config, on_gpu=False)
    monkeypatch.setattr(memory, "total_memory", lambda: copies * num_bytes - 1)
    memory.check_memory(network, config, on_gpu=True)
    with pytest.raises(InvalidInput, match="parameters needs"):
        memory.check_memory(network, config, on_gpu=False)
