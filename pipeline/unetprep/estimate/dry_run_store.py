"""Dry-run store: metadata is written to memory, and chunks of pending arrays are computed when they are read."""

import time
from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unetprep.estimate.overlay_storage import OverlayStorage
from unetprep.format.boxes import Box, Index
from unetprep.format.sharding import Chunks
from unetprep.storage.lru_cache import NO_CACHE, ArrayCache
from unetprep.store.store import Store

if TYPE_CHECKING:
    from unetprep.stages.base import Job


class DryRunStore(Store):
    """A store whose metadata are written to memory, and whose pending chunks are computed when they are read.

    `seconds` is the time that these computations took; it is no part of what is measured. Outputs of a job that are
    sums over its blocks are not computed: they have the values given to `set_mean`.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.overlay = OverlayStorage(self.storage)
        self.storage = self.overlay
        self.seconds = 0.0
        self.clock: Callable[[], float] = time.perf_counter
        self.computed_shards: set[str] = set()  # keys of shards, of which only some chunks are computed
        self._jobs: dict[str, Job] = {}
        self._exists: dict[str, NDArray[np.bool_]] = {}
        self._chunks: dict[str, Chunks] = {}
        self._means: dict[str, NDArray[Any]] = {}

    def expect(self, job: "Job", exists: NDArray[np.bool_]) -> None:
        """Treat a job as done; `exists` says which of its shards really exist."""
        for spec in job.outputs:
            self._jobs[spec.path], self._exists[spec.path] = job, exists.reshape(job.num_shards)

    def set_mean(self, path: str, values: NDArray[Any]) -> None:
        """Set the values of every shard of an array, of which only the mean is known."""
        self._means[path] = values

    def read(self, path: str, box: Box, recent: ArrayCache = NO_CACHE, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a box, computing its pending chunks."""
        if path in self._means:
            sides = (range(*b.indices(n)) for b, n in zip(box, self.shards(path).shape, strict=True))
            return np.broadcast_to(self._means[path], tuple(map(len, sides)))
        if path in self._jobs:
            start, before = self.clock(), self.seconds
            self._compute_missing(path, box)
            self.seconds = before + self.clock() - start
        return super().read(path, box, recent, out)

    def read_all(self, path: str) -> NDArray[Any]:
        """Read a whole array, computing its pending chunks."""
        whole = tuple(slice(0, n) for n in self.shards(path).shape)
        return self.read(path, whole) if path in self._means else super().read_all(path)

    def _compute_missing(self, path: str, box: Box) -> None:
        shards, exists = self.shards(path), self._exists[path]
        box = tuple(slice(*b.indices(n)) for b, n in zip(box, shards.shape, strict=True))
        for index in product(*(range(b.start // s, -(-b.stop // s)) for b, s in zip(box, shards.shard, strict=True))):
            if not exists[index[: exists.ndim]]:
                self._compute_in_shard(path, index, box)

    def _compute_in_shard(self, path: str, index: Index, box: Box) -> None:
        """Compute the pending chunks of a shard that a box meets, and those between them."""
        job, shards = self._jobs[path], self.shards(path)
        of_job = job.boxes(index)
        whole = of_job[0]
        key = f"{path}/{shards.key_of(whole)}"
        chunks = self._chunks.setdefault(key, {})
        sides = zip(box, whole, shards.chunk, strict=True)
        touched = [
            range((max(b.start, w.start) - w.start) // c, -(-(min(b.stop, w.stop) - w.start) // c)) for b, w, c in sides
        ]
        missing = [place for place in product(*touched) if place not in chunks]
        if not missing:
            return
        low, high = np.min(missing, axis=0), np.max(missing, axis=0) + 1
        if job.sizes is None:
            part = tuple(
                slice(w.start + int(a) * c, min(w.stop, w.start + int(z) * c))
                for w, a, z, c in zip(whole, low, high, shards.chunk, strict=True)
            )
            values = job.compute(self, job.boxes_along(part, of_job))[0]
            chunks |= shards.encode_chunks(values, tuple(map(int, low)))
        else:  # which computes image by image
            for boxes in list(job.parts(of_job))[int(low[-3]) : int(high[-3])]:
                first = (0,) * (len(low) - 3) + (boxes[0][-3].start - whole[-3].start, 0, 0)
                chunks |= shards.encode_chunks(job.compute(self, boxes)[0], first)
        self.overlay.written[key] = shards.join(chunks)
        self.computed_shards.add(key)
