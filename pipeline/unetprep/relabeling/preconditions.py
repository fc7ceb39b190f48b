"""Preconditions of an update of labels: the store is finished, and made by this release."""

from collections.abc import Iterable

from unetprep.errors import InvalidInput
from unetprep.format.layout import CUT, LEARNED, TILES, absent_from_tiles, counts_path, labels_path, weights_path
from unetprep.stages.base import Job
from unetprep.stages.classes import classes_path
from unetprep.stages.from_provenance import contradiction, target_job, tiles_job, weights_job
from unetprep.store import Store

TILE_ARRAYS = tuple(f"{TILES}/{name}" for name in ("image", "target", "weights", "instances", *LEARNED))


def refuse_unfinished(store: Store, names: Iterable[str]) -> None:
    """Raise InvalidInput unless a store is finished and up to date, so that the effect of an edit is known.

    `names` are the images whose labels are edited.
    """
    for group in dict.fromkeys(store.place(name).group for name in names):
        path = labels_path(group, "instances")
        if classes_path(store, group):
            raise InvalidInput(
                f"the cells of {group} in {store.url} have classes, which relabel does not change",
                allowed="cells without classes",
                hint="repeat the import with the edited labels and --overwrite, then the stages",
            )
        if store.state(path) == "finished" and not store.written(path).all():
            raise InvalidInput(
                f"{path} of {store.url} lacks shards, so the labels before the edit are not known",
                hint="repeat the import that wrote it; it writes the shards that are missing or cut short",
            )
    some = any(store.record(weights_path(group)) for group in store.groups)
    for group in store.groups:
        labels, target, maps = labels_path(group, "instances"), labels_path(group, "target"), weights_path(group)
        _refuse_state(store, [p for p in (labels, target, counts_path(group), maps) if store.record(p) or p == labels])
        for path, job in ((target, target_job), (maps, weights_job)):
            if store.record(path):
                _refuse_other(store, path, job(store, group))
            elif some:
                raise InvalidInput(
                    f"{path} is missing in {store.url}, which has weights of other images",
                    hint=f"run: unetprep weights --out {store.url}",
                )
    if made := store.record(CUT).get("parameters"):
        absent = absent_from_tiles(made)
        _refuse_state(store, (path for path in TILE_ARRAYS if path.rpartition("/")[2] not in absent))
        _refuse_other(store, CUT, tiles_job(store))


def _refuse_state(store: Store, paths: Iterable[str]) -> None:
    for path in paths:
        state = store.state(path)
        if state != "finished":
            raise InvalidInput(
                f"{path} is {state} in {store.url}",
                allowed="a finished store, of which it is known what an edit affects",
                hint="repeat the command that makes it" + (", with --overwrite" if state == "stale" else ""),
            )


def _refuse_other(store: Store, path: str, job: Job | None) -> None:
    if job is None or contradiction(store, job):
        raise InvalidInput(
            f"{path} of {store.url} was made by another release, or of other images",
            hint="compute it again, with --overwrite",
        )
