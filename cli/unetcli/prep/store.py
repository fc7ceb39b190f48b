"""`unetprep info`, `verify` and `relabel`, and their output."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any

import click

from unetcli.errors import INVALID
from unetcli.next_command import suggest_next
from unetcli.options import Examples, chosen, common, from_fields, result
from unetcli.prep.options import cluster_options, with_scheduler_options, with_storage_options
from unetcli.prep.stages import next_words
from unetcli.progress import progress
from unetprep.parameter import option_name
from unetprep.params import FileParams, VerifyParams

if TYPE_CHECKING:
    from unetprep import Fault, Relabelled, StoreInfo, Verified
    from unetprep.contents import ArrayInfo

# -- info -------------------------------------------------------------------------------------------------------------


@click.command(
    cls=Examples, short_help="Show what a store holds.", examples="unetprep info ds.zarr\nunetprep info ds.zarr --json"
)
@click.argument("store")
@common
@with_storage_options
def info(store: str, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Show what a store holds and which stages have run."""
    import unetprep

    found = unetprep.info(store)
    result("info", found.as_values(), describe_store(found), as_json)
    suggest_next(*next_of(found))


def next_of(found: "StoreInfo") -> list[str]:
    """The first stage that has not ended, or the training; no words for an empty store, and for one that is damaged."""
    groups = [group.arrays for group in found.images] + [group.arrays for group in found.stacks]
    arrays = {
        "import": [group["instances"] for group in groups],
        "weights": [group["weights"] for group in groups],
        "deform": [found.fields.grids],
        "tiles": [found.tiles.array],
    }
    states = {stage: {array.state for array in made} for stage, made in arrays.items()}
    if not groups or not set().union(*states.values()) <= {"finished", "unfinished", "missing"}:
        return []
    last = next(reversed(list(takewhile(lambda stage: states[stage] == {"finished"}, states))), "import")
    return next_words(last, found.store, last == "weights" and not any(group["image"].exists for group in groups))


def describe_store(found: "StoreInfo") -> str:
    """A store's contents as a few lines: images, fields and tiles, each with its state."""
    lines = [f"{found.store}  (format version {found.format_version})", ""]
    for image in found.images:
        sources = ", ".join(image.record["source"] or ["?"])
        lines.append(f"image {image.name}  [{image.record['split']}]  from {sources}")
        lines += [f"    {name:<10}{_describe_array(array)}" for name, array in image.arrays.items()]
    for stack in found.stacks:
        splits = Counter("removed" if split is None else split for split in stack.splits)
        counted = ", ".join(f"{number} {split}" for split, number in splits.items())
        lines.append(f"{stack.path}: {len(stack.names)} images  [{counted}]  {stack.names[0]} to {stack.names[-1]}")
        lines += [f"    {name:<10}{_describe_array(array)}" for name, array in stack.arrays.items()]
    fields, tiles, geometry = found.fields, found.tiles.array, found.tiles.geometry
    folding = "" if fields.folding_fields is None else f"  {fields.folding_fields:.3g} of them fold"
    made = _parameters(fields.grids.parameters, "sigma_px", "seed")
    lines.append(f"fields        {_describe_array(fields.grids)}{made}{folding}")
    sides = "  {tile} -> {output} pixels, margin {margin}".format(**geometry) if "tile" in geometry else ""
    virtual = ", virtual" if "index_only" in tiles.parameters else ""
    lines.append(f"tiles         {_describe_array(tiles)}{sides}{virtual}")
    return "\n".join(lines)


def _describe_array(array: "ArrayInfo") -> str:
    if not array.exists:
        return array.state
    shape = " x ".join(map(str, array.shape))
    return f"{array.state:<10}  {shape}  {array.dtype}  {_size(array.stored_bytes)}"


def _parameters(parameters: Mapping[str, Any], *names: str) -> str:
    return "".join(f"  {name} {parameters[name]}" for name in names if name in parameters)


def _size(num_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if num_bytes < 1024:
            return f"{num_bytes:.4g} {unit}"
        num_bytes /= 1024
    return f"{num_bytes:.4g} TiB"


# -- verify -----------------------------------------------------------------------------------------------------------


@click.command(
    cls=Examples,
    short_help="Verify that a store is intact.",
    examples="unetprep verify ds.zarr\nunetprep verify ds.zarr --all --json\nunetprep verify ds.zarr --repair",
)
@click.argument("store")
@from_fields(VerifyParams, option_name)
@click.option("--repair", is_flag=True, help="Delete damaged shards; repeating the stages writes them again.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Number of threads.  [default: one for each core]")
@common
@with_storage_options
def verify(store: str, repair: bool, workers: int | None, **values: Any) -> None:
    """Verify that every object of a store exists, is intact, and is what its inputs make it.

    Every document and every shard is read and compared with its checksum; imported pixels with their digest; some
    shards are recomputed, the weights by the other engine. Exit code 3 means that a fault was found.

    \b
    unknown     an object that belongs to nothing
    missing     an object that should exist
    metadata    a document that is damaged, or impossible
    damaged     a shard with a wrong checksum, or cut short
    values      a shard with impossible values
    digest      pixels other than those that were imported
    differs     a shard that differs when it is recomputed
    unfinished  an array whose computation was stopped
    stale       an array made from something that has been replaced since
    """
    import unetprep

    with progress("verify", values["quiet"]) as report:
        params = chosen(VerifyParams, values)
        found = unetprep.verify(store, params, workers, repair=repair, on_progress=report)
    status = "at fault" if found.faults else "intact"
    values_found = {"store": store, "status": status, **asdict(found)}
    result("verify", values_found, describe_faults(store, found), values["as_json"])
    if found.faults:
        click.get_current_context().exit(INVALID)


def describe_faults(store: str, found: "Verified") -> str:
    """A line for each fault, the remedy of faults that follow each other, notes, and how much was read."""
    lines = []
    for to_do, faults in groupby(found.faults, key=lambda fault: fault.to_do):
        lines += [_describe_fault(fault) for fault in faults]
        lines.append(f"{'to do:':>18}  {to_do}")
    lines += [f"note: {note}" for note in found.notes]
    num = len(found.faults)
    outcome = "intact" if not num else "1 fault" if num == 1 else f"{num} faults"
    again = ", ".join(f"{number} of {kind}" for kind, number in found.recomputed.items() if number)
    read = f"{found.num_documents} documents and {found.num_shards} shards read"
    return "\n".join([*lines, f"{store}: {outcome}; {read}" + (f", recomputed: {again}" if again else "")])


def _describe_fault(fault: "Fault") -> str:
    return f"{fault.kind:<12}{fault.path}: {fault.message}"


# -- remove -----------------------------------------------------------------------------------------------------------


@click.command(
    cls=Examples,
    short_help="Remove images from a store.",
    examples="unetprep remove ds.zarr img007\nunetprep remove ds.zarr img007 img042",
)
@click.argument("store")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@common
@with_storage_options
def remove(store: str, names: tuple[str, ...], as_json: bool, quiet: bool, verbose: bool) -> None:
    """Remove images from a store, so that no later stage sees them.

    The weight maps of the other images are kept. Tiles have to be cut again.
    """
    import unetprep

    done = unetprep.remove(store, names)
    again = f"\nthe tiles have to be cut again: unetprep tiles --out {store} --overwrite" if done.tiles else ""
    result("remove", {"store": store, **asdict(done)}, f"removed {', '.join(done.images)} from {store}{again}", as_json)


# -- relabel ----------------------------------------------------------------------------------------------------------


@click.command(
    cls=Examples,
    short_help="Take edited labels, and recompute only what they affect.",
    examples="unetprep relabel ds.zarr --labels edited.tif\n"
    "unetprep relabel ds.zarr --labels edited.tif --image img --keep-class-weights",
)
@click.argument("store")
@click.option(
    "--labels", multiple=True, required=True, metavar="PATH", help="The edited labels of an image; may be repeated."
)
@click.option("--image", metavar="NAME", help="The image that they belong to.  [default: the one of their name]")
@click.option("--keep-class-weights", is_flag=True, help="Keep the class weights that the labels before the edit gave.")
@from_fields(FileParams, option_name)
@with_scheduler_options
def relabel(store: str, labels: tuple[str, ...], image: str | None, keep_class_weights: bool, **values: Any) -> None:
    """Take edited labels into a finished store, and recompute only the shards that they affect.

    The store is then what the edited labels would have given from the start. Class weights that come from the data
    change with nearly every edit of the training images, and all weights with them; --keep-class-weights keeps the
    numbers, as if they had been given with --class-weights.
    """
    import unetprep

    with progress("relabel", values["quiet"]) as report:
        done = unetprep.relabel(
            store,
            labels,
            image,
            keep_class_weights=keep_class_weights,
            files=chosen(FileParams, values),
            on_progress=report,
            **cluster_options(values),
        )
    status = "done" if done.shards else "nothing to do"
    result(
        "relabel", {"store": store, "status": status, **asdict(done)}, describe_update(store, done), values["as_json"]
    )
    suggest_next("unetprep", "verify", store)


def describe_update(store: str, done: "Relabelled") -> str:
    """A line for each kind of array, and the change of the class weights."""
    if not done.shards:
        return f"relabel: nothing to do, the labels are those of {store}"
    lines = [f"{kind}: {s.recomputed} shards recomputed, {s.kept} kept" for kind, s in done.shards.items()]
    if done.class_weights:
        before, after = (", ".join(f"{w:.6g}" for w in weights) for weights in done.class_weights)
        lines.append(
            f"the class weights follow the labels: {before} became {after}, so all weights were recomputed"
            " (--keep-class-weights keeps the numbers)"
        )
    return "\n".join([*lines, f"-> {store}"])
