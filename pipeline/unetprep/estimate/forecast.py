"""Result of an estimate: what each stage would write, and what it would need."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ArrayForecast:
    """Arrays of one kind, such as the weights of all images."""

    path: str
    arrays: int
    shards: int
    there: int  # shards that exist
    bytes: int  # to be written, as shards


@dataclass(frozen=True)
class StageForecast:
    """What a stage would do. Shards, files and the bytes of metadata are counted; everything else is predicted."""

    stage: str
    arrays: tuple[ArrayForecast, ...]
    shards_total: int
    shards_there: int
    tasks: int  # shards that are computed together count as one
    files: int
    bytes: int
    metadata_bytes: int  # part of `bytes`: everything but shards
    block: tuple[int, ...]  # what a task computes at a time, of the largest job
    working_set_bytes: int  # of a task
    peak_bytes: int  # of a worker process
    seconds: float
    sampled: int  # blocks that were computed for the estimate
    guesses: tuple[str, ...]


@dataclass(frozen=True)
class Forecast:
    """What a command would do: files, bytes, peak memory and time, in total and for each stage."""

    store: str
    stages: tuple[StageForecast, ...]
    workers: int
    threads: int  # of each worker process
    memory_bytes: int | None

    @property
    def bytes(self) -> int:
        """Bytes that all stages would write."""
        return sum(stage.bytes for stage in self.stages)

    @property
    def files(self) -> int:
        """Files that all stages would write."""
        return sum(stage.files for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Time that all stages would take."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def peak_bytes(self) -> int:
        """Memory of a worker process in the stage that needs the most."""
        return max((stage.peak_bytes for stage in self.stages), default=0)
