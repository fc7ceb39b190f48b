"""Python API of the pipeline: import, stages and recipes as functions on a store, and plans of what they would do.

Each function continues an interrupted run, does nothing if nothing is pending, and raises Conflict if the store holds
arrays that were made with other parameters.

    import unetprep

    unetprep.import_images("ds.zarr", "images/", "masks/", unetprep.ImportParams(test_fraction=0.2))
    unetprep.weights("ds.zarr", params=unetprep.WeightsParams(sigma=5))
    unetprep.tiles("ds.zarr", unetprep.TilesParams(tile_px=316), scheduler="processes", workers=8)

`prepare_store` does an import and several stages in one call, and `plan`, with the same arguments, only estimates them.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypedDict, Unpack

from unetprep.engine.dask_cluster import kept_connections
from unetprep.engine.importing import ImportSummary
from unetprep.engine.importing import import_images as _import_images
from unetprep.engine.memory import lower_mmap_threshold
from unetprep.engine.run import run_stage
from unetprep.engine.scheduler import Scheduler
from unetprep.engine.summary import Summary
from unetprep.engine.thread_tasks import OnProgress
from unetprep.errors import InvalidInput
from unetprep.estimate.forecast import Forecast
from unetprep.estimate.forecaster import Forecaster
from unetprep.estimate.memory_check import MemoryCheck
from unetprep.estimate.synthetic import forecast_synthetic
from unetprep.parameter import Params
from unetprep.params import ClusterParams, DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.recipe import read_recipe
from unetprep.relabeling.relabeler import Relabelled
from unetprep.relabeling.relabeler import relabel as _relabel
from unetprep.sources import Source
from unetprep.sources.arrays import ArraySource, Inputs, as_inputs
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


# -- import and stages ------------------------------------------------------------------------------------------------


def import_images(
    store: StrPath,
    images: Inputs,
    labels: Inputs,
    params: ImportParams | None = None,
    *,
    name: str = "",
    **options: Unpack[RunOptions],
) -> ImportSummary:
    """Import images and their labels, paired by name; the store is created if it does not exist.

    Both may be a file or folder, several of them, an array with its `name`, or several arrays in a mapping from names.
    Arrays are imported by threads of this process only. `images` may be empty where only weight maps are needed.

    Raises InvalidInput for input that cannot be used, Conflict for arrays made with other parameters (`overwrite`
    replaces them) and for a store that another run has locked, Failure where a write, a worker or a server fails. With
    a memory limit, an import that cannot fit is refused before anything is written.

        unetprep.import_images("ds.zarr", image, labels, name="embryo")  # NumPy arrays or xarray.DataArray
    """
    (summary,) = prepare_store(store, images, labels, (), params, name=name, **options)
    assert isinstance(summary, ImportSummary)
    return summary


def weights(
    store: StrPath,
    labels: Inputs = (),
    params: WeightsParams | None = None,
    importing: ImportParams | None = None,
    *,
    name: str = "",
    **options: Unpack[RunOptions],
) -> list[Summary]:
    """Compute targets and weight maps of all images of a store, after an import of `labels`, if any are given.

    Takes labels, and raises, as `import_images` does. Returns a summary of the import, if any, and of the stage.
    """
    return prepare_store(store, (), labels, [params or WeightsParams()], importing, name=name, **options)


def deform(store: StrPath, params: DeformParams | None = None, **options: Unpack[RunOptions]) -> Summary:
    """Draw random elastic deformation fields; the store is created if it does not exist. Raises as `import_images`."""
    return prepare_store(store, stages=[params or DeformParams()], **options)[0]


def tiles(store: StrPath, params: TilesParams | None = None, **options: Unpack[RunOptions]) -> Summary:
    """Cut the images of a store into overlap tiles with mirrored context. Raises as `import_images` does."""
    return prepare_store(store, stages=[params or TilesParams()], **options)[0]


def prepare_store(
    store: StrPath,
    images: Inputs = (),
    labels: Inputs = (),
    stages: Sequence[Params] = (),
    importing: ImportParams | None = None,
    *,
    name: str = "",
    **options: Unpack[RunOptions],
) -> list[Summary]:
    """Import images and labels, if any are given, and run stages, each given by its parameters.

    Takes images and labels, and raises, as `import_images` does. Returns a summary of the import and of each stage.

        stages = [unetprep.WeightsParams(), unetprep.DeformParams(), unetprep.TilesParams(tile_px=316)]
        unetprep.prepare_store("ds.zarr", "images/", "masks/", stages)
    """
    return _Run(**options).prepare(_work(store, images, labels, stages, importing, name))


def run_recipe(path: StrPath, store: StrPath | None = None, **options: Unpack[RunOptions]) -> list[Summary]:
    """Import and run every stage as the recipe at `path` says; `store` and options replace what the recipe says.

    Raises as `import_images` does, and InvalidInput for a recipe that cannot be used.
    """
    work, cluster = _work_of_recipe(path, store)
    options["cluster"] = options.get("cluster") or cluster
    return _Run(**options).prepare(work)


def relabel(
    store: StrPath,
    labels: StrPath | Sequence[StrPath],
    image: str | None = None,
    *,
    keep_class_weights: bool = False,
    on_progress: OnProgress = lambda done, total, **shown: None,
    **options: Unpack[ClusterOptions],
) -> Relabelled:
    """Take edited labels into a finished store, and recompute only the shards that they affect.

    Labels belong to the image of their name, or to `image`. The store is then what the edited labels would have given
    from the start. `keep_class_weights` keeps the class weights where they come from the data.

    Raises InvalidInput for an unfinished store, labels of another size, or those that an import would refuse.
    """
    scheduler = _Run(**options).open_scheduler()
    paths = [path for path in as_inputs(labels) if isinstance(path, str)]
    return _relabel(
        os.fspath(store),
        paths,
        scheduler,
        image=image,
        keep_class_weights=keep_class_weights,
        on_progress=on_progress,
    )


# -- plans ------------------------------------------------------------------------------------------------------------


def plan(
    store: StrPath,
    images: Inputs = (),
    labels: Inputs = (),
    stages: Sequence[Params] = (),
    importing: ImportParams | None = None,
    *,
    name: str = "",
    overwrite: bool = False,
    **options: Unpack[ClusterOptions],
) -> Forecast:
    """Estimate what `prepare_store` would do with these arguments: tasks, files, bytes, memory and time.

    Nothing is written. Raises what `prepare_store` would raise before it begins.

        unetprep.plan("ds.zarr", "images/", "masks/", [unetprep.WeightsParams()]).bytes
    """
    return _Run(overwrite=overwrite, **options).plan(_work(store, images, labels, stages, importing, name))


def plan_recipe(
    path: StrPath, store: StrPath | None = None, *, overwrite: bool = False, **options: Unpack[ClusterOptions]
) -> Forecast:
    """Estimate what `run_recipe` would do with these arguments. Nothing is written."""
    work, cluster = _work_of_recipe(path, store)
    options["cluster"] = options.get("cluster") or cluster
    return _Run(overwrite=overwrite, **options).plan(work)


def plan_synthetic(
    shape: tuple[int, int, int, int],
    num_images: int = 1,
    num_cells: int | None = None,
    dims: int = 2,
    dtype: str = "uint8",
    **options: Unpack[ClusterOptions],
) -> Forecast:
    """Estimate an import and all stages for images of `shape` (c, z, y, x) that do not exist yet.

    The images are synthetic cells, `num_cells` in each; by default one in 1300 pixels.
    """
    return forecast_synthetic(shape, num_images, num_cells, dims, dtype, _Run(**options).open_scheduler())


# -- how they run -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Work:
    """An import, if there are labels, and stages with their parameters, in this order."""

    store: str
    images: Sequence[str | Source]
    labels: Sequence[str | Source]
    stages: Sequence[tuple[Stage, Params]]
    importing: ImportParams

    @property
    def creates_store(self) -> bool:
        """Whether the store may be missing."""
        return bool(self.labels) or any(stage.creates_store for stage, _ in self.stages[:1])


def _work(
    store: StrPath, images: Inputs, labels: Inputs, stages: Sequence[Params], importing: ImportParams | None, name: str
) -> _Work:
    params = importing or ImportParams()
    sources = as_inputs(images, name, params.axes), as_inputs(labels, name)
    return _Work(os.fspath(store), *sources, [(stage_of(p), p) for p in stages], params)


def _work_of_recipe(path: StrPath, store: StrPath | None) -> tuple[_Work, ClusterParams]:
    recipe = read_recipe(os.fspath(path))
    stages = list(recipe.stages.values())
    return _work(store or recipe.out, recipe.images, recipe.labels, stages, recipe.importing, ""), recipe.cluster


@dataclass(frozen=True)
class _Run:
    """How work is done: the values of `RunOptions`."""

    cluster: ClusterParams | None = None
    scheduler: str | None = None
    workers: int | None = None
    memory: str | None = None
    overwrite: bool = False
    on_progress: OnStageProgress = _silent

    def prepare(self, work: _Work) -> list[Summary]:
        """Do the work. With a memory limit, work that cannot fit is refused before anything is written."""
        scheduler = self.open_scheduler()
        _refuse_arrays_on_workers(work, scheduler)
        check = MemoryCheck(work.store, scheduler, work.stages, self.overwrite) if scheduler.memory_bytes else None
        if check and not work.labels:
            check.without_import()
        summaries: list[Summary] = []
        with kept_connections():
            if work.labels:
                summaries.append(self._import(work, scheduler, check))
            summaries += [self._run_stage(work.store, stage, params, scheduler) for stage, params in work.stages]
        return summaries

    def plan(self, work: _Work) -> Forecast:
        """Estimate the work."""
        scheduler = self.open_scheduler()
        forecaster = Forecaster(work.store, scheduler, create=work.creates_store, overwrite=self.overwrite)
        if work.labels:
            forecaster.importing(work.images, work.labels, work.importing)
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

    def _import(self, work: _Work, scheduler: Scheduler, check: MemoryCheck | None) -> ImportSummary:
        self.on_progress("import", 0, 0)
        return _import_images(
            work.store,
            work.images,
            work.labels,
            work.importing,
            scheduler,
            overwrite=self.overwrite,
            on_progress=partial(self.on_progress, "import"),
            check=check,
        )

    def _run_stage(self, url: str, stage: Stage, params: Params, scheduler: Scheduler) -> Summary:
        self.on_progress(stage.name, 0, 0)
        store = Store.open_or_create(url) if stage.creates_store else Store.open(url)
        report = partial(self.on_progress, stage.name)
        return run_stage(store, stage, params, scheduler, overwrite=self.overwrite, on_progress=report)


def _refuse_arrays_on_workers(work: _Work, scheduler: Scheduler) -> None:
    """Raise InvalidInput for arrays of this process that other processes would have to read."""
    arrays = [source.path for source in (*work.images, *work.labels) if isinstance(source, ArraySource)]
    if arrays and scheduler.address != "local":
        raise InvalidInput(
            f"{arrays[0]} is in the memory of this process, and scheduler is {scheduler.address!r}",
            allowed="arrays with the scheduler local",
            hint="import with scheduler='local', or save the array to a file; the other stages run on any scheduler",
        )
