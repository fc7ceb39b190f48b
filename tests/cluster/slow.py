"""A preload of Dask's workers: every task takes a moment longer, so that there is time to do a worker harm."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from distributed import Worker

SECONDS = 0.4


class Slow(ThreadPoolExecutor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        def slowly() -> Any:
            time.sleep(SECONDS)
            return fn(*args, **kwargs)

        return super().submit(slowly)


def dask_setup(worker: Worker) -> None:
    """Called by Dask."""
    worker.executors["default"] = Slow(worker.state.nthreads)
