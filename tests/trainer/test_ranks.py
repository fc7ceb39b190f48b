"""Places of processes in a training of several, and their shares of each batch."""

from pathlib import Path

import pytest
import torch

from tests.trainer.test_training_loop import quick
from unettrain.config import UNetConfig
from unettrain.distributed import Group
from unettrain.errors import InvalidInput
from unettrain.model import UNet
from unettrain.ranks import ALONE, Ranks, launched
from unettrain.stream.tile_stream import TileStream

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node7",
    "MASTER_PORT": "29500",
}


def test_the_place_is_that_of_the_environment() -> None:
    assert launched({}) == launched({"WORLD_SIZE": "1", "RANK": "0"}) == ALONE
    assert launched(TORCHRUN) == Ranks(3, 4, 1, 2)
    assert not launched(TORCHRUN).is_first
    assert ALONE.is_first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"RANK": None}, "WORLD_SIZE is 4 and RANK is not set"),
        ({"MASTER_PORT": None}, "WORLD_SIZE is 4 and MASTER_PORT not set"),
        ({"RANK": "4"}, "contradict each other"),
        ({"LOCAL_RANK": "2"}, "contradict each other"),
        ({"WORLD_SIZE": "four"}, "no numbers"),
    ],
)
def test_an_incomplete_environment_is_refused(change: dict[str, str | None], message: str) -> None:
    environment = {name: value for name, value in (TORCHRUN | change).items() if value is not None}
    with pytest.raises(InvalidInput, match=f"{message}[^$]*start several processes with torchrun"):
        launched(environment)


def test_a_batch_is_shared_evenly_or_refused() -> None:
    assert Ranks(1, 4).share(8) == 2
    assert Ranks(1, 4).share(8, accumulate=2) == 2
    for size, accumulate, multiple in ((6, 1, 4), (1, 1, 4), (12, 2, 8)):
        with pytest.raises(InvalidInput, match=f"batch-size is {size}, and 4 .*\n  allowed: multiples of {multiple}\n"):
            Ranks(1, 4).share(size, accumulate)


@pytest.mark.parametrize("size", [2, 4])
def test_the_order_of_tiles_does_not_depend_on_the_number_of_processes(default_store: Path, size: int) -> None:
    config = quick(batch_size=4)
    alone = TileStream.of(default_store, config)
    streams = [TileStream.of(default_store, config, None, Ranks(rank, size)) for rank in range(size)]
    for step in range(9):
        shares = [stream.samples(step) for stream in streams]
        assert [sample for share in shares for sample in share] == alone.samples(step)
        expected = alone.batch(step)
        for k, stream in enumerate(streams):
            found, part = stream.batch(step), slice(k * 4 // size, (k + 1) * 4 // size)
            torch.testing.assert_close(found.image, expected.image[part], rtol=0, atol=0)
            torch.testing.assert_close(found.weights, expected.weights[part], rtol=0, atol=0)


def test_processes_of_a_machine_share_its_threads(default_store: Path) -> None:
    alone = TileStream.of(default_store, quick(batch_size=4))
    assert TileStream.of(default_store, quick(batch_size=4), None, Ranks(0, 4, 0, 4)).num_threads == max(
        1, alone.num_threads // 4
    )


def test_each_process_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    for name in ("auto", "cuda"):
        assert Group(Ranks(3, 4, 1, 2)).device(name) == torch.device("cuda", 1)
    assert taken == [1, 1]
    assert Group(Ranks(3, 4, 1, 2)).device("cpu") == torch.device("cpu")
    assert Group().device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(InvalidInput, match="device is cuda:1, and 4 processes train\n  allowed: auto, cuda, cpu"):
        Group(Ranks(3, 4, 1, 2)).device("cuda:1")
    with pytest.raises(InvalidInput, match="3 processes were started on a machine with 2 GPUs"):
        Group(Ranks(2, 3, 2, 3)).device("auto")


def test_batch_normalisation_is_shared_on_gpus_and_refused_on_cpus() -> None:
    network = UNetConfig(base_channels=1, depth=1, normalization="batch")
    cpu, gpu, several = torch.device("cpu"), torch.device("cuda"), Group(Ranks(0, 2))
    assert Group().prepare(UNet(network, 0), cpu).state_dict().keys() == UNet(network, 0).state_dict().keys()
    shared = several.prepare(UNet(network, 0), gpu)
    assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in shared.modules())
    assert shared.state_dict().keys() == UNet(network, 0).state_dict().keys()
    with pytest.raises(InvalidInput, match="normalization is batch, and 2 processes train on CPUs"):
        several.prepare(UNet(network, 0), cpu)
    for normalization in ("none", "instance"):
        model = UNet(UNetConfig(base_channels=1, depth=1, normalization=normalization), 0)
        assert several.prepare(model, cpu) is model
