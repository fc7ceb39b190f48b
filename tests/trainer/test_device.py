"""Selection of the torch device."""

import pytest
import torch

from unettrain.device import pick_device
from unettrain.errors import InvalidInput


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_auto_is_a_gpu_where_there_is_one(two_gpus: None) -> None:
    assert pick_device("auto").type == "cuda"
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(InvalidInput, match="torch sees no device 'cuda:2' here"):
        pick_device("cuda:2")


def test_auto_is_the_cpu_elsewhere_and_a_missing_gpu_is_refused(no_gpu: None) -> None:
    assert pick_device("auto").type == "cpu"
    for name in ("cuda", "mps", "meta"):
        with pytest.raises(InvalidInput, match=f"torch sees no device '{name}' here"):
            pick_device(name)
    with pytest.raises(InvalidInput, match="device is 'gpu'\n  allowed: auto, cpu, cuda"):
        pick_device("gpu")
