"""Work on a store, an import and stages, and how it is run or planned: the parts of the Python API in `prepare`."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypedDict

from unetprep.engine.dask_cluster import kept_connections
from unetprep.engine.importing import ImportSummary, import_images
from unetprep.engine.memory import lower_mmap_threshold
from unetprep.engine.run import run_stage
from unetprep.engine.scheduler import Scheduler
from unetprep.engine.summary import Summary
from unetprep.errors import InvalidInput
from unetprep.estimate.forecast import Forecast
from unetprep.estimate.forecaster import Forecaster
from unetprep.estimate.memory_check import MemoryCheck
from unetprep.parameter import Params
from unetprep.params import ClusterParams, ImportParams, LayoutParams
from unetprep.recipe import read_recipe
from unetprep.sources import Source
from unetprep.sources.arrays import ArraySource, Inputs, as_inputs
from unetprep.sources.layouts.data_set import DataSet
from unetprep.sources.layouts.pairs import of_inputs
from unetprep.sources.layouts.table import find_data_set
from unetprep.sources.source import Choice
from unetprep.stages.table import Stage, stage_of
from unetprep.storage.paths import StrPath
from unetprep.store import Store

OnStageProgress = Callable[..., None]  # (stage, shards done, shards in all), values by name; (stage, 0, 0) as it begins


class ClusterOptions(TypedDict, total=False):
    """Keywords that say where tasks run: `cluster`, or the most common of its fields, which override it.

    `scheduler` is "local", "processes", "slurm" or the address of a Dask scheduler; `workers` the number of threads,
    processes or jobs; `memory` the limit of each worker, such as "8GiB".
    """

    cluster: ClusterParams | None
    scheduler: str
    workers: int
    memory: str


class RunOptions(ClusterOptions, total=False):
    """Keywords of every function that writes a store: those of `ClusterOptions`, and two more.

    `overwrite` replaces arrays that were made with other parameters. `on_progress` is called with the name of the
    stage, the shards done and the shards in all, and further values by name, such as "MP/s".
    """

    overwrite: bool
    on_progress: OnStageProgress


def _silent(stage: str, done: int, total: int, **shown: float) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Work:
    """An import, if there are labels, and stages with their parameters, in this order."""

    store: str
    images: Sequence[str | Source]
    labels: Sequence[str | Source]
    stages: Sequence[tuple[Stage, Params]]
    importing: ImportParams
    data_set: DataSet | None = None

    @property
    def imports(self) -> bool:
        """Whether there is anything to import."""
        return bool(self.labels) or self.data_set is not None

    @property
    def creates_store(self) -> bool:
        """Whether the store may be missing."""
        return self.imports or any(stage.creates_store for stage, _ in self.stages[:1])


def work_of(
    store: StrPath,
    images: Inputs,
    labels: Inputs,
    stages: Sequence[Params],
    importing: ImportParams | None,
    name: str,
    data: StrPath = "",
    layout: LayoutParams | None = None,
) -> Work:
    """The work that arguments of the Python API describe: paths as texts, arrays as sources, stages by their table."""
    params = importing or ImportParams()
    sources = as_inputs(images, name, params.axes), as_inputs(labels, name, Choice.of_labels(params))
    given = [(stage_of(p), p) for p in stages]
    return Work(os.fspath(store), *sources, given, params, _data_set(*sources, os.fspath(data), layout))


def _data_set(
    images: Sequence[str | Source], labels: Sequence[str | Source], data: str, layout: LayoutParams | None
) -> DataSet | None:
    """The data set in the folder `data`, or that of images and labels if a layout says how they belong together."""
    if data and (images or labels):
        raise InvalidInput(f"data is {data!r}, and images or labels are given too", allowed="either of them")
    if data:
        return find_data_set(data, layout).data_set
    return of_inputs(images, labels, layout) if layout and labels else None


def work_of_recipe(path: StrPath, store: StrPath | None) -> tuple[Work, ClusterParams]:
    """The work of the recipe at `path`, and its section [cluster]; `store` replaces the store that it names."""
    recipe = read_recipe(os.fspath(path))
    stages = list(recipe.stages.values())
    sources = recipe.images, recipe.labels
    out, about = store or recipe.out, (recipe.data, recipe.layout)
    return work_of(out, *sources, stages, recipe.importing, "", *about), recipe.cluster


@dataclass(frozen=True)
class RunSettings:
    """How work is done: the values of `RunOptions`."""

    cluster: ClusterParams | None = None
    scheduler: str | None = None
    workers: int | None = None
    memory: str | None = None
    overwrite: bool = False
    on_progress: OnStageProgress = _silent

    def prepare(self, work: Work) -> list[Summary]:
        """Do the work. With a memory limit, work that cannot fit is refused before anything is written."""
        scheduler = self.open_scheduler()
        _refuse_arrays_on_workers(work, scheduler)
        check = MemoryCheck(work.store, scheduler, work.stages, self.overwrite) if scheduler.memory_bytes else None
        if check and not work.imports:
            check.without_import()
        summaries: list[Summary] = []
        with kept_connections():
            if work.imports:
                summaries.append(self._import(work, scheduler, check))
            summaries += [self._run_stage(work.store, stage, params, scheduler) for stage, params in work.stages]
        return summaries

    def plan(self, work: Work) -> Forecast:
        """Estimate the work."""
        scheduler = self.open_scheduler()
        _refuse_arrays_on_workers(work, scheduler)
        forecaster = Forecaster(work.store, scheduler, create=work.creates_store, overwrite=self.overwrite)
        if work.imports:
            forecaster.importing(work.images, work.labels, work.importing, work.data_set)
        for stage, params in work.stages:
            forecaster.stage(stage, params)
        return forecaster.result()

    def open_scheduler(self) -> Scheduler:
        """The scheduler of these options. Under a memory limit, this process returns freed arrays to the system."""
        given = {"scheduler": self.scheduler, "workers": self.workers, "memory": self.memory}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        scheduler = Scheduler.of(replace(self.cluster or ClusterParams(), **changes))
        if scheduler.memory_bytes:
            lower_mmap_threshold()
        return scheduler

    def _import(self, work: Work, scheduler: Scheduler, check: MemoryCheck | None) -> ImportSummary:
        self.on_progress("import", 0, 0)
        return import_images(
            work.store,
            work.images,
            work.labels,
            work.importing,
            scheduler,
            overwrite=self.overwrite,
            on_progress=partial(self.on_progress, "import"),
            check=check,
            data_set=work.data_set,
        )

    def _run_stage(self, url: str, stage: Stage, params: Params, scheduler: Scheduler) -> Summary:
        self.on_progress(stage.name, 0, 0)
        store = Store.open_or_create(url) if stage.creates_store else Store.open(url)
        report = partial(self.on_progress, stage.name)
        return run_stage(store, stage, params, scheduler, overwrite=self.overwrite, on_progress=report)


def _refuse_arrays_on_workers(work: Work, scheduler: Scheduler) -> None:
    """Raise InvalidInput for arrays of this process that other processes would have to read."""
    arrays = [source.path for source in (*work.images, *work.labels) if isinstance(source, ArraySource)]
    if arrays and scheduler.address != "local":
        raise InvalidInput(
            f"{arrays[0]} is in the memory of this process, and scheduler is {scheduler.address!r}",
            allowed="arrays with the scheduler local",
            hint="import with scheduler='local', or save the array to a file; the other stages run on any scheduler",
        )
