"""Trainings in processes of their own, which tests may kill. Each is forked from a server that has imported torch."""

import multiprocessing as mp
import os
import pkgutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from unetprep.storage import lock
from unettrain import checkpoint
from unettrain.config import FitConfig
from unettrain.training_loop import fit

Prepare = Callable[..., None]  # called in the new process with the rest of the arguments
PRELOADED = ["unettrain.training_loop", "torch._dynamo", "torch.fx.experimental.symbolic_shapes"]
SLOW_WRITE_S = 0.0005


def slow_writes() -> None:
    """Let the writing of a checkpoint take about as long as the steps between."""
    write = checkpoint._Recorded.write

    def slow(self: Any, data: Any) -> int:
        time.sleep(SLOW_WRITE_S)
        return write(self, data)

    checkpoint._Recorded.write = slow  # type: ignore[method-assign]


def touch_often() -> None:
    """Let the lock of the run be updated often, so that others need not wait long to see that it is held."""
    lock.TOUCH_S = 0.05


def die_at(owner: str, name: str, number: int, file: str = "") -> None:
    """Kill this process at the `number`-th call of a function, counting calls with a path that ends in `file`."""
    where = pkgutil.resolve_name(owner)
    function, calls = getattr(where, name), list[int]()

    def dying(*args: Any, **options: Any) -> Any:
        if not file or any(str(arg).endswith(file) for arg in args):
            calls.append(1)
            if len(calls) == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **options)

    setattr(where, name, dying)


def _train(store: Path, run: Path, config: FitConfig, prepare: Prepare | None, args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    if prepare:
        prepare(*args)
    fit(store, run, config)


@contextmanager
def training(
    store: Path, run: Path, config: FitConfig, prepare: Prepare | None = None, *args: Any
) -> Iterator[BaseProcess]:
    """A process that trains; it is killed at the end of the block if it still runs."""
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(
        ["unettrain.training_loop", "torch._dynamo", "torch.fx.experimental.symbolic_shapes"]
    )
    process = context.Process(target=_train, args=(store, run, config, prepare, args))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
        process.close()
