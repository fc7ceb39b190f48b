"""Prefetching ring buffer for batches: threads fill reused arrays ahead of the consumer, in order.

Arrays are handed out as tensors that share their memory. They are reused only when nobody holds such a tensor or a view
of it; a consumer may keep batches.
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

Part = TypeVar("Part")  # one place of a batch, as a thread fills it
Scratch = TypeVar("Scratch")  # working memory of a thread
Shapes = Sequence[tuple[tuple[int, ...], torch.dtype]]

LEAVE_S = 2.0  # how long closing waits for threads; one that waits for a server ends later by itself
SPARE = 2  # batches beyond those prefetched, for the consumer to hold


class Buffers:
    """The arrays of one batch; `pinned`: in page-locked memory, from which a GPU copies asynchronously."""

    def __init__(self, shapes: Shapes, pinned: bool = False) -> None:
        made = [torch.empty(shape, dtype=dtype, pin_memory=pinned) for shape, dtype in shapes]
        self.arrays: list[NDArray[Any]] = [tensor.numpy() for tensor in made]
        self._unheld = self._holders()
        self._pinned = pinned
        self._copied: torch.cuda.Event | None = None

    def tensors(self) -> list[Tensor]:
        """Tensors that share the memory of the arrays."""
        return [torch.from_numpy(array) for array in self.arrays]

    def is_free(self) -> bool:
        """Whether nobody holds a tensor that shares the arrays (`from_numpy` keeps a reference to its array)."""
        return self._holders() == self._unheld

    def _holders(self) -> list[int]:
        return [sys.getrefcount(self.arrays[k]) for k in range(len(self.arrays))]

    def mark(self) -> None:
        """Record an event in the current CUDA stream, whose pending copies may still read the arrays."""
        if self._pinned:
            self._copied = torch.cuda.current_stream().record_event()

    def wait(self) -> None:
        """Wait until the GPU has read the arrays."""
        if self._copied is not None:
            self._copied.synchronize()
            self._copied = None


class Pending(Generic[Part]):
    """A batch in progress: its buffers, its parts, and the outcome of each part."""

    def __init__(self, buffers: Buffers, parts: Sequence[Part]) -> None:
        self.buffers, self.parts = buffers, parts
        self.results: SimpleQueue[BaseException | None] = SimpleQueue()

    def finish(self) -> "Pending[Part]":
        """Wait for all parts. Raises the error of a part that could not be filled."""
        for _ in self.parts:
            error = self.results.get()
            if error is not None:
                raise error
        return self


class Prefetcher(Generic[Part, Scratch]):
    """Calls `fill(part, buffers, k, scratch)` for each place k of each batch, in `num_threads` threads named `name`.

    `scratch()` makes the working memory of a thread. Up to `num_ahead` batches are started before they are requested.
    """

    def __init__(
        self,
        shapes: Shapes,
        fill: Callable[[Part, Buffers, int, Scratch], None],
        scratch: Callable[[], Scratch],
        num_threads: int,
        num_ahead: int,
        name: str,
        pinned: bool = False,
    ) -> None:
        self._shapes, self._fill, self._scratch, self._pinned = shapes, fill, scratch, pinned
        self._num_threads, self._num_ahead, self._name = num_threads, num_ahead, name
        self._given = deque[Buffers]()

    def batches(self, parts: Iterable[Sequence[Part]]) -> Generator[Pending[Part]]:
        """The filled batches, in order. Closing the generator ends its threads."""
        tasks: SimpleQueue[tuple[Pending[Part], int] | None] = SimpleQueue()
        closed = threading.Event()
        threads = [
            threading.Thread(target=self._work, args=(tasks, closed), name=f"{self._name}-{k}", daemon=True)
            for k in range(self._num_threads)
        ]
        ahead = deque[Pending[Part]]()
        begun = list[threading.Thread]()
        try:
            for thread in threads:
                begun.append(thread)
                thread.start()
            for some in parts:
                pending = Pending(self._free_buffers(), some)
                ahead.append(pending)
                for k in range(len(some)):
                    tasks.put((pending, k))
                del pending
                if len(ahead) >= self._num_ahead:
                    yield from self._give(ahead.popleft())
            while ahead:
                yield from self._give(ahead.popleft())
        finally:
            closed.set()
            for _ in begun:
                tasks.put(None)
            last = time.monotonic() + LEAVE_S
            for thread in begun:
                if (
                    thread.is_alive() and thread is not threading.current_thread()
                ):  # equal if a thread collects the generator
                    thread.join(max(0, last - time.monotonic()))

    def _work(self, tasks: "SimpleQueue[tuple[Pending[Part], int] | None]", closed: threading.Event) -> None:
        scratch: Scratch | None = None
        while (task := tasks.get()) is not None:
            pending, k = task
            error = None
            try:
                if not closed.is_set():
                    scratch = self._scratch() if scratch is None else scratch
                    pending.buffers.wait()
                    self._fill(pending.parts[k], pending.buffers, k, scratch)
            except BaseException as caught:
                error = caught
            pending.results.put(error)
            del task, pending, error

    def _give(self, pending: Pending[Part]) -> Generator[Pending[Part]]:
        self._given.append(pending.finish().buffers)
        yield pending

    def _free_buffers(self) -> Buffers:
        for _ in range(len(self._given)):
            buffers = self._given.popleft()
            if buffers.is_free():
                buffers.mark()
                return buffers
            self._given.append(buffers)
        while len(self._given) > SPARE + self._num_ahead:
            self._given.popleft()  # its holder may keep it
        return Buffers(self._shapes, self._pinned)
