"""A preload of Dask's workers: tasks take a moment longer, and none begins while the file UNETPREP_HOLD is there.

So there is time to do a worker harm, and it has a task in hand when that happens.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from distributed import Worker

SECONDS = 0.1


class Slow(ThreadPoolExecutor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        def slowly() -> Any:
            time.sleep(SECONDS)
            while os.path.exists(os.environ["UNETPREP_HOLD"]):
                time.sleep(0.05)
            return fn(*args, **kwargs)

        return super().submit(slowly)


def dask_setup(worker: Worker) -> None:
    """Called by Dask."""
    worker.executors["default"] = Slow(worker.state.nthreads)
