"""Python API of the pipeline: import, stages and recipes as functions on a store, and estimates of what they would do.

The command line calls these functions and nothing else. Each of them continues an interrupted run, does nothing where
nothing is left to do, and raises Conflict where the store holds arrays that were made with other parameters.

    import unetprep

    unetprep.import_images("ds.zarr", ["images/"], ["masks/"], unetprep.ImportParams(test_fraction=0.2))
    unetprep.weights("ds.zarr", params=unetprep.WeightsParams(sigma=5))
    unetprep.tiles("ds.zarr", unetprep.TilesParams(tile_px=316), unetprep.ClusterParams(scheduler="processes"))

Besides the stages, `prepare` does any work and `plan` estimates it:

    from unetprep.prepare import Work, plan

    plan(Work("ds.zarr", ["images/"], ["masks/"], stages={"weights": unetprep.WeightsParams()})).bytes
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unetprep.engine.dask_cluster import kept_connections
from unetprep.engine.importing import import_images as _import_images
from unetprep.engine.memory import give_back_memory
from unetprep.engine.run import Summary, run_stage
from unetprep.engine.scheduler import Scheduler
from unetprep.estimate.forecast import Forecast, Forecaster, forecast_generated
from unetprep.parameter import Params
from unetprep.params import ClusterParams, DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.recipe import Recipe, read_recipe
from unetprep.stages import STAGES
from unetprep.store import Store

OnStageProgress = Callable[..., None]  # (stage, shards done, shards in all), values by name; (stage, 0, 0) as it begins


def _silent(stage: str, done: int, total: int, **shown: float) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Work:
    """Work on one store: files to import, if any, then stages by name, in the order given.

    `store` is a path or URL. It is created where files are imported or `create` is set, and must exist otherwise.
    """

    store: str
    images: Sequence[str] = ()
    labels: Sequence[str] = ()
    importing: ImportParams = field(default_factory=ImportParams)
    stages: Mapping[str, Params] = field(default_factory=dict)
    create: bool = False

    @classmethod
    def of_recipe(cls, recipe: Recipe, store: str | None = None) -> "Work":
        """The work that a recipe describes, on its own store or on another one."""
        return cls(store or recipe.out, recipe.images, recipe.labels, recipe.importing, recipe.stages)


def prepare(
    work: Work,
    cluster: ClusterParams | None = None,
    *,
    overwrite: bool = False,
    on_progress: OnStageProgress = _silent,
) -> list[Summary]:
    """Import and run stages, as `work` says; returns one summary for the import and for each stage.

    With a memory limit in `cluster`, work that cannot fit is refused before anything is written.

    Raises InvalidInput for input that cannot be used, Conflict for arrays made with other parameters (`overwrite`
    replaces them) and for a store that another run has locked, Failure where a write, a worker or a server fails.
    """
    scheduler = scheduler_of(cluster)
    if scheduler.memory_bytes:
        _estimate(work, scheduler, overwrite, measure=False)
    summaries: list[Summary] = []
    with kept_connections():
        if work.labels:
            on_progress("import", 0, 0)
            summaries.append(
                _import_images(
                    work.store,
                    work.images,
                    work.labels,
                    work.importing,
                    scheduler,
                    overwrite=overwrite,
                    on_progress=_of_stage("import", on_progress),
                )
            )
        if work.stages:
            store = Store.open_or_create(work.store) if work.create else Store.open(work.store)
        for name, params in work.stages.items():
            on_progress(name, 0, 0)
            report = _of_stage(name, on_progress)
            summaries.append(run_stage(store, STAGES[name], params, scheduler, overwrite=overwrite, on_progress=report))
    return summaries


def plan(work: Work, cluster: ClusterParams | None = None, *, overwrite: bool = False) -> Forecast:
    """Estimate what `prepare` would do: tasks, files, bytes, memory and time. Nothing is written.

    Raises what `prepare` would raise before it begins.
    """
    return _estimate(work, scheduler_of(cluster), overwrite, measure=True)


def plan_generated(
    shape: tuple[int, int, int, int],
    num_images: int = 1,
    num_cells: int | None = None,
    dims: str = "2",
    dtype: str = "uint8",
    cluster: ClusterParams | None = None,
) -> Forecast:
    """Estimate all stages for images of `shape` (c, z, y, x) that do not exist yet, from synthetic cells."""
    return forecast_generated(shape, num_images, num_cells, dims, dtype, scheduler_of(cluster))


def import_images(
    store: str,
    images: Sequence[str],
    labels: Sequence[str],
    params: ImportParams | None = None,
    cluster: ClusterParams | None = None,
    *,
    overwrite: bool = False,
    on_progress: OnStageProgress = _silent,
) -> Summary:
    """Import image and label files, or folders of them, paired by name; the store is created if needed.

    `images` may be empty where only weight maps are wanted. Raises as `prepare` does.
    """
    work = Work(store, images, labels, params or ImportParams())
    return prepare(work, cluster, overwrite=overwrite, on_progress=on_progress)[0]


def weights(
    store: str,
    labels: Sequence[str] = (),
    params: WeightsParams | None = None,
    importing: ImportParams | None = None,
    cluster: ClusterParams | None = None,
    *,
    overwrite: bool = False,
    on_progress: OnStageProgress = _silent,
) -> list[Summary]:
    """Compute targets and weight maps of all images of a store, after importing `labels`, if any are given.

    Raises as `prepare` does.
    """
    work = Work(store, (), labels, importing or ImportParams(), {"weights": params or WeightsParams()})
    return prepare(work, cluster, overwrite=overwrite, on_progress=on_progress)


def deform(
    store: str,
    params: DeformParams | None = None,
    cluster: ClusterParams | None = None,
    *,
    overwrite: bool = False,
    on_progress: OnStageProgress = _silent,
) -> Summary:
    """Draw random elastic deformation fields; the store is created if needed. Raises as `prepare` does."""
    work = Work(store, stages={"deform": params or DeformParams()}, create=True)
    return prepare(work, cluster, overwrite=overwrite, on_progress=on_progress)[0]


def tiles(
    store: str,
    params: TilesParams | None = None,
    cluster: ClusterParams | None = None,
    *,
    overwrite: bool = False,
    on_progress: OnStageProgress = _silent,
) -> Summary:
    """Cut the images of a store into overlap tiles with mirrored context. Raises as `prepare` does."""
    work = Work(store, stages={"tiles": params or TilesParams()})
    return prepare(work, cluster, overwrite=overwrite, on_progress=on_progress)[0]


def run_recipe(
    path: str,
    store: str | None = None,
    cluster: ClusterParams | None = None,
    *,
    overwrite: bool = False,
    on_progress: OnStageProgress = _silent,
) -> list[Summary]:
    """Import and run every stage as the recipe at `path` says; `store` and `cluster` replace those of the recipe.

    Raises as `prepare` does, and InvalidInput for a recipe that cannot be used.
    """
    recipe = read_recipe(path)
    work = Work.of_recipe(recipe, store)
    return prepare(work, cluster or recipe.cluster, overwrite=overwrite, on_progress=on_progress)


def scheduler_of(cluster: ClusterParams | None) -> Scheduler:
    """The scheduler that `cluster` describes. Under a memory limit this process returns freed arrays to the system."""
    scheduler = Scheduler.of(cluster or ClusterParams())
    if scheduler.memory_bytes:
        give_back_memory()
    return scheduler


def _estimate(work: Work, scheduler: Scheduler, overwrite: bool, *, measure: bool) -> Forecast:
    """The estimate; without `measure` only whether the work would be refused."""
    forecaster = Forecaster(
        work.store, scheduler, create=work.create or bool(work.labels), overwrite=overwrite, measure=measure
    )
    if work.labels:
        forecaster.importing(work.images, work.labels, work.importing)
    for name, params in work.stages.items():
        forecaster.stage(STAGES[name], params)
    return forecaster.result()


def _of_stage(stage: str, on_progress: OnStageProgress) -> Callable[..., None]:
    def report(done: int, total: int, **shown: Any) -> None:
        on_progress(stage, done, total, **shown)

    return report
