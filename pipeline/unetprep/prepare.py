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
from collections.abc import Sequence
from typing import TypeVar, Unpack

from unetprep.engine.importing import ImportSummary
from unetprep.engine.summary import Summary
from unetprep.engine.thread_tasks import OnProgress
from unetprep.errors import InvalidInput
from unetprep.estimate.forecast import Forecast
from unetprep.estimate.synthetic import forecast_synthetic
from unetprep.parameter import Params
from unetprep.params import DeformParams, FileParams, ImportParams, LayoutParams, TilesParams, WeightsParams
from unetprep.relabeling.relabeler import Relabelled
from unetprep.relabeling.relabeler import relabel as _relabel
from unetprep.sources.arrays import Inputs
from unetprep.storage.paths import StrPath
from unetprep.work import ClusterOptions as ClusterOptions
from unetprep.work import RunOptions as RunOptions
from unetprep.work import RunSettings, work_of, work_of_recipe

P = TypeVar("P", bound=Params)

# -- import and stages ------------------------------------------------------------------------------------------------


def import_images(
    store: StrPath,
    images: Inputs = (),
    labels: Inputs = (),
    params: ImportParams | None = None,
    *,
    name: str = "",
    data: StrPath = "",
    layout: LayoutParams | None = None,
    **options: Unpack[RunOptions],
) -> ImportSummary:
    """Import images and their labels, paired by name; the store is created if it does not exist.

    Both may be a file or folder, several of them, an array with its `name`, or several arrays in a mapping from names.
    Or `data` is the folder of a data set, whose layout `scan` tells. `layout` says how files belong together.
    Arrays are imported by threads of this process only. `images` may be empty where only weight maps are needed.
    A script that uses `scheduler="processes"` needs `if __name__ == "__main__":` around its calls.

    Raises InvalidInput for input that cannot be used, Conflict for arrays made with other parameters (`overwrite`
    replaces them) and for a store that another run has locked, Failure where a write, a worker or a server fails. With
    a memory limit, an import that cannot fit is refused before anything is written.

        unetprep.import_images("ds.zarr", image, labels, name="embryo")  # NumPy arrays or xarray.DataArray
    """
    importing = _checked(params, ImportParams)
    summaries = prepare_store(store, images, labels, (), importing, name=name, data=data, layout=layout, **options)
    if not summaries:
        raise InvalidInput("no labels are given", allowed="a file, a folder, an array, or several of them")
    assert isinstance(summaries[0], ImportSummary)
    return summaries[0]


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
    return prepare_store(store, (), labels, [_checked(params, WeightsParams)], importing, name=name, **options)


def deform(store: StrPath, params: DeformParams | None = None, **options: Unpack[RunOptions]) -> Summary:
    """Draw random elastic deformation fields; the store is created if it does not exist. Raises as `import_images`."""
    return prepare_store(store, stages=[_checked(params, DeformParams)], **options)[0]


def tiles(store: StrPath, params: TilesParams | None = None, **options: Unpack[RunOptions]) -> Summary:
    """Cut the images of a store into overlap tiles with mirrored context. Raises as `import_images` does."""
    return prepare_store(store, stages=[_checked(params, TilesParams)], **options)[0]


def prepare_store(
    store: StrPath,
    images: Inputs = (),
    labels: Inputs = (),
    stages: Sequence[Params] = (),
    importing: ImportParams | None = None,
    *,
    name: str = "",
    data: StrPath = "",
    layout: LayoutParams | None = None,
    **options: Unpack[RunOptions],
) -> list[Summary]:
    """Import images and labels, if any are given, and run stages, each given by its parameters.

    Takes images and labels, and raises, as `import_images` does. Returns a summary of the import and of each stage.

        stages = [unetprep.WeightsParams(), unetprep.DeformParams(), unetprep.TilesParams(tile_px=316)]
        unetprep.prepare_store("ds.zarr", "images/", "masks/", stages)
    """
    return RunSettings(**options).prepare(work_of(store, images, labels, stages, importing, name, data, layout))


def run_recipe(path: StrPath, store: StrPath | None = None, **options: Unpack[RunOptions]) -> list[Summary]:
    """Import and run every stage as the recipe at `path` says; `store` and options replace what the recipe says.

    Raises as `import_images` does, and InvalidInput for a recipe that cannot be used.
    """
    work, cluster = work_of_recipe(path, store)
    options["cluster"] = options.get("cluster") or cluster
    return RunSettings(**options).prepare(work)


def relabel(
    store: StrPath,
    labels: StrPath | Sequence[StrPath],
    image: str | None = None,
    *,
    keep_class_weights: bool = False,
    files: FileParams | None = None,
    on_progress: OnProgress = lambda done, total, **shown: None,
    **options: Unpack[ClusterOptions],
) -> Relabelled:
    """Take edited labels into a finished store, and recompute only the shards that they affect.

    Labels belong to the image of their name, or to `image`. The store is then what the edited labels would have given
    from the start. `keep_class_weights` keeps the class weights where they come from the data. `files` says how label
    files are read.

    Raises InvalidInput for an unfinished store, labels of another size, or those that an import would refuse.
    """
    scheduler = RunSettings(**options).open_scheduler()
    paths = [labels] if isinstance(labels, str | os.PathLike) else labels
    if not all(isinstance(path, str | os.PathLike) for path in paths):
        raise InvalidInput("labels are given as arrays", allowed="paths of label files", hint="write them to files")
    return _relabel(
        os.fspath(store),
        [os.fspath(path) for path in paths],
        scheduler,
        image=image,
        keep_class_weights=keep_class_weights,
        files=files,
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
    data: StrPath = "",
    layout: LayoutParams | None = None,
    overwrite: bool = False,
    **options: Unpack[ClusterOptions],
) -> Forecast:
    """Estimate what `prepare_store` would do with these arguments: tasks, files, bytes, memory and time.

    Nothing is written. Raises what `prepare_store` would raise before it begins.

        unetprep.plan("ds.zarr", "images/", "masks/", [unetprep.WeightsParams()]).bytes
    """
    work = work_of(store, images, labels, stages, importing, name, data, layout)
    return RunSettings(overwrite=overwrite, **options).plan(work)


def plan_recipe(
    path: StrPath, store: StrPath | None = None, *, overwrite: bool = False, **options: Unpack[ClusterOptions]
) -> Forecast:
    """Estimate what `run_recipe` would do with these arguments. Nothing is written."""
    work, cluster = work_of_recipe(path, store)
    options["cluster"] = options.get("cluster") or cluster
    return RunSettings(overwrite=overwrite, **options).plan(work)


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
    return forecast_synthetic(shape, num_images, num_cells, dims, dtype, RunSettings(**options).open_scheduler())


def _checked(params: P | None, kind: type[P]) -> P:
    """The parameters, or the defaults. Raises InvalidInput for parameters of another stage."""
    if params is not None and not isinstance(params, kind):
        raise InvalidInput(f"params is {type(params).__name__}", allowed=kind.__name__)
    return params or kind()
