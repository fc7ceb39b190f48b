"""Summary of a run: shards, time, memory and retries of a stage."""

import logging
import time
from dataclasses import dataclass

from unetprep.engine.batches import BatchResult, peak_bytes

log = logging.getLogger("unetprep.engine.run")


@dataclass(frozen=True)
class Summary:
    """What the run of a `stage` did: `shards_written` of `shards_total`, and `megapixels` computed in `seconds`.

    `peak_bytes` is the memory of the process that needed the most; `retries` counts the batches that were repeated
    because their worker was lost.
    """

    stage: str
    shards_total: int
    shards_written: int
    megapixels: float
    seconds: float
    peak_bytes: int
    retries: int

    @staticmethod
    def of(stage: str, total: int, done: "BatchResult", start: float) -> "Summary":
        """The summary of a run that began at `start` (time.perf_counter), which is also logged."""
        seconds = time.perf_counter() - start
        found = Summary(
            stage,
            total,
            done.num_shards,
            done.num_pixels / 1e6,
            seconds,
            max(done.peak_bytes, peak_bytes()),
            done.retries,
        )
        log.info("%s", found)
        return found

    def __str__(self) -> str:
        if not self.shards_written:
            return f"{self.stage}: nothing to do, all {self.shards_total} shards are there"
        return (
            f"{self.stage}: wrote {self.shards_written} of {self.shards_total} shards in {self.seconds:.1f} s"
            + (f", {self.megapixels / self.seconds:.3g} MP/s" if self.megapixels else "")
            + f", at most {self.peak_bytes / 2**20:.0f} MiB of memory"
            + (f", {self.retries} tasks retried" if self.retries else "")
        )
