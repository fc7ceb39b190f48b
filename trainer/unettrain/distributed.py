"""Training by several processes with torch's own engine: gradients are averaged by DistributedDataParallel.

    rank 0    tiles of its share -> gradient --+
    rank 1    tiles of its share -> gradient --+--> average -> the same update everywhere
    ...

Every process holds the whole state. Rank 0 validates, saves and reports. What fails in one process ends all, and is
reported once, by the process that claims it first.
"""

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any, Protocol, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from unettrain.device import pick_device
from unettrain.errors import Failure, InvalidInput, mark_reported_elsewhere
from unettrain.ranks import ALONE, Ranks, launched

Result = TypeVar("Result")

TIMEOUT = timedelta(hours=6)  # longer than a validation, during which all but rank 0 wait
JOIN_TIMEOUT = timedelta(minutes=10)
RESTART = "TORCHELASTIC_RESTART_COUNT"  # of torchrun --max-restarts, whose store still knows the processes before
CLAIM = "unettrain/reported"  # counts the processes that want to report an error
LOST = ("gloo", "nccl", "connection closed by peer", "connection reset by peer", "broken pipe", "socket")


class PeerLost(Failure):
    """Another process of the training has ended, so this one cannot continue."""


class Counter(Protocol):
    """Counters that all processes share; torch's stores are such."""

    def add(self, key: str, amount: int) -> int:
        """Add to a counter, and return it."""


class Group:
    """This process among those of a training. One that is alone exchanges nothing."""

    def __init__(self, ranks: Ranks = ALONE, store: Counter | None = None) -> None:
        self.ranks, self.size, self.is_first = ranks, ranks.size, ranks.is_first
        self._store = store

    def device(self, name: str) -> torch.device:
        """The device of this process: of several GPUs of its machine, the one of its local number."""
        device = pick_device(name)
        if self.size == 1 or device.type == "cpu":
            return device
        local = self.ranks.local_rank
        if device.type != "cuda" or ":" in name:
            raise InvalidInput(f"device is {name}, and {self.size} processes train", allowed="auto, cuda, cpu")
        if local >= torch.cuda.device_count():
            raise InvalidInput(
                f"{self.ranks.local_size} processes were started on a machine with {torch.cuda.device_count()} GPUs",
                allowed="one process for each GPU (torchrun --nproc-per-node)",
            )
        torch.cuda.set_device(local)
        return torch.device("cuda", local)

    def prepare(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The network to train. Batch normalisation takes its statistics over the tiles of all processes."""
        has_batch_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
        if self.size == 1 or not has_batch_norm:
            return model
        if device.type != "cuda":
            raise InvalidInput(
                f"normalization is batch, and {self.size} processes train on CPUs, where torch cannot share statistics",
                allowed="normalization none or instance; a single process; or GPUs",
            )
        return cast(nn.Module, nn.SyncBatchNorm.convert_sync_batchnorm(model))  # type: ignore[no-untyped-call]

    def averaging(self, model: Callable[[Tensor], Tensor], device: torch.device) -> Callable[[Tensor], Tensor]:
        """A network whose gradients are averaged over all processes."""
        if self.size == 1:
            return model
        devices = [device.index] if device.type == "cuda" else None
        wrapped = DistributedDataParallel(cast(nn.Module, model), devices, gradient_as_bucket_view=True)
        return cast(Callable[[Tensor], Tensor], wrapped)

    def local_gradient(self, averaging: Callable[[Tensor], Tensor]) -> AbstractContextManager[Any]:
        """A block whose gradients are only added to those of this process, to be averaged by the next."""
        return averaging.no_sync() if isinstance(averaging, DistributedDataParallel) else nullcontext()

    def summed(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def from_first(self, make: Callable[[], Result]) -> Result:
        """What `make` returns on rank 0; the other processes do not call it."""
        made = [make() if self.is_first else None]
        if self.size > 1:
            dist.broadcast_object_list(made, src=0, device=torch.device("cpu"))
        return cast(Result, made[0])

    @contextmanager
    def peers(self) -> Iterator[None]:
        """Raise PeerLost for the errors of torch that say that another process has ended."""
        try:
            yield
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            if self.size == 1 or not _is_loss(error):
                raise
            raise PeerLost(
                f"another of the {self.size} processes has ended: it was killed, or its machine failed",
                hint="see what ended it, such as a lack of memory; the same command goes on from the last saved state",
            ) from None

    def claims(self) -> bool:
        """Whether this process is the first that has something to report."""
        if self._store is None:
            return True
        try:
            return self._store.add(CLAIM, 1) == 1
        except RuntimeError:  # the process that kept the count has ended
            return True


@contextmanager
def joined() -> Iterator[Group]:
    """The group of processes that this one was started with; ends when the block does.

    Of an exception, all processes but one are told that it is reported elsewhere.
    """
    ranks = launched()
    if ranks.size == 1:
        yield Group()
        return
    group = _join(ranks)
    try:
        with group.peers():
            yield group
    except BaseException as error:
        reports = ranks.is_first if isinstance(error, KeyboardInterrupt) else True
        if not reports or not group.claims():
            mark_reported_elsewhere(error)
        if dist.get_backend() == dist.Backend.GLOO:
            _leave()
        raise
    _leave()


def _join(ranks: Ranks) -> Group:
    try:
        shared, _, _ = next(rendezvous("env://", timeout=JOIN_TIMEOUT))
        store = PrefixStore(f"unettrain/{os.environ.get(RESTART, 0)}", shared)
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, store=store, rank=ranks.rank, world_size=ranks.size, timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise Failure(
            f"process {ranks.rank} of {ranks.size} cannot reach the others: {error}",
            hint="start all processes with one torchrun; on several machines, see docs/training-runs.md",
        ) from None
    return Group(ranks, store)


def _leave() -> None:
    with suppress(RuntimeError):  # of a process that has ended
        dist.destroy_process_group()


def _is_loss(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, dist.DistError) or any(word in text for word in LOST)
