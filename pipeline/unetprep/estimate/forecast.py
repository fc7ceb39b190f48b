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
    """What a `stage` would do. Shards, `files` and the bytes of metadata are counted; everything else is predicted.

    Of `shards_total`, `shards_there` exist; the others are written by `tasks` (shards that are computed together count
    as one) into `arrays`. `bytes` is the size of all files, `metadata_bytes` that of all but shards. A task computes a
    `block` at a time, of the largest job, and needs `working_set_bytes`; a worker process needs `peak_bytes`. `seconds`
    follow from the `sampled` blocks, which were computed for the estimate; `guesses` say what it could not know.
    """

    stage: str
    arrays: tuple[ArrayForecast, ...]
    shards_total: int
    shards_there: int
    tasks: int
    files: int
    bytes: int
    metadata_bytes: int
    block: tuple[int, ...]
    working_set_bytes: int
    peak_bytes: int
    seconds: float
    sampled: int
    guesses: tuple[str, ...]


@dataclass(frozen=True)
class Forecast:
    """What a command would do to a `store`: files, bytes, peak memory and time, in total and for each of its `stages`.

    For this number of `workers` (processes) with `threads` each, and `memory_bytes` for all; None: no limit is given.
    """

    store: str
    stages: tuple[StageForecast, ...]
    workers: int
    threads: int
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
