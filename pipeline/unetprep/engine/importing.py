"""Import of images into a store. Every source is read and checked before anything is written."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unetprep.engine.batches import BatchResult
from unetprep.engine.memory import num_cores
from unetprep.engine.pending import plan_jobs
from unetprep.engine.run import Scheduler, Summary, run_plans
from unetprep.engine.thread_tasks import OnProgress
from unetprep.format.layout import IMAGES
from unetprep.params import ImportParams
from unetprep.sources import Source
from unetprep.sources.kept_pixels import KEPT_BYTES, KeptPixels
from unetprep.sources.layouts.data_set import DataSet
from unetprep.stages.first_reading import first_readings_bytes
from unetprep.stages.importing import Import, plan_import
from unetprep.stages.leakage import refuse_leakage
from unetprep.stages.ranges import range_summary, range_warnings
from unetprep.stages.splits import Part, split_rule
from unetprep.storage.lock import locked
from unetprep.storage.output import check_sources
from unetprep.storage.registry import open_storage
from unetprep.store import Store

PIXEL_SIZE_KEYS = ("spacing", "unit")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImportSummary(Summary):
    """What an import did; also the images `without_cells`, the intensity `ranges` by image, and `warnings`."""

    without_cells: tuple[str, ...] = ()
    ranges: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    def __str__(self) -> str:
        return "\n".join(filter(None, [super().__str__(), self._empty(), range_summary(self.ranges.values())]))

    def _empty(self) -> str:
        names = self.without_cells
        if not names:
            return ""
        more = f" and {len(names) - 1} more" if names[1:] else ""
        return f"import: {len(names)} image{'s' * bool(more)} without cells: {names[0]}{more}"


class ImportCheck:
    """Checks of an import before it reads, and before it writes. These accept everything."""

    def before_reading(self, parts: Sequence[Part], params: ImportParams) -> None:
        """Raise InvalidInput if the sources cannot be read."""

    def before_writing(self, planned: Import, has_images: bool) -> None:
        """Raise InvalidInput if the planned arrays cannot be written."""


def import_images(
    url: str,
    images: Sequence[str | Source],
    labels: Sequence[str | Source],
    params: ImportParams,
    scheduler: Scheduler,
    *,
    overwrite: bool = False,
    on_progress: OnProgress = lambda done, total, **shown: None,
    check: ImportCheck | None = None,
    data_set: DataSet | None = None,
) -> ImportSummary:
    """Import images and labels, files or arrays, into the store at `url`, which is created if it does not exist.

    They are those of `data_set`, or are paired by name. Labels that look odd and images with extreme outliers are named
    in warnings, which are also logged.
    """
    start = time.perf_counter()
    check_sources(url, [path for path in (*images, *labels) if isinstance(path, str)])
    check_sources(url, [data_set.folder] if data_set and data_set.folder else [])
    has_images = data_set.has_images if data_set else bool(images)
    Store.refuse_other(url)
    with locked(open_storage(url), url):
        store = existing_store(url)
        before_reading = (check or _FirstPassFits(scheduler)).before_reading
        kept = KeptPixels(0 if scheduler.memory_bytes else KEPT_BYTES)
        threads = scheduler.num_workers if scheduler.address == "local" else num_cores()
        planned = plan_import(
            images, labels, params, before_reading, store, kept, threads, overwrite=overwrite, data_set=data_set
        )
        if check:
            check.before_writing(planned, has_images)
        store = Store.open_or_create(url)
        shared = refuse_leakage(planned, store, overwrite=overwrite)
        total, done = _write(store, planned, has_images, scheduler, overwrite, on_progress)
        store.update_record(IMAGES, names=store.record(IMAGES).get("names", []), **split_rule(params))
        if planned.known:
            planned.known.put(store)
    warnings = [*planned.notes, *range_warnings(planned.ranges), *shared, *_gone_warnings(store, planned)]
    for warning in warnings:
        log.warning("%s", warning)
    ranges = {name: seen.as_values() for name, seen in planned.ranges.items()}
    summary = Summary.of("import", total, done, start)
    return ImportSummary(**vars(summary), without_cells=planned.without_cells, ranges=ranges, warnings=warnings)


def _gone_warnings(store: Store, planned: Import) -> list[str]:
    """A sentence about images of the store whose files are no longer in the folders that are imported."""
    gone = planned.known.gone() if planned.known else []
    names = [name for name in gone if name in store.places]
    if not names:
        return []
    more = f" and of {len(names) - 1} more images" if names[1:] else ""
    return [
        f"the files of {names[0]}{more} are no longer there, and {store.url} still holds them; unetprep remove"
        f" {store.url} {names[0]} removes an image"
    ]


class _FirstPassFits(ImportCheck):
    def __init__(self, scheduler: Scheduler) -> None:
        self._reader = scheduler.worker.for_one_thread()

    def before_reading(self, parts: Sequence[Part], params: ImportParams) -> None:
        self._reader.refuse(self._reader.fixed_bytes + first_readings_bytes(parts, params))


def existing_store(url: str) -> Store | None:
    """The store at `url`; None if there is none yet."""
    return None if Store(url).is_absent() else Store.open(url)


def _write(
    store: Store, planned: Import, has_images: bool, scheduler: Scheduler, overwrite: bool, on_progress: OnProgress
) -> tuple[int, BatchResult]:
    """Create the arrays of a planned import, and copy the sources into them."""
    planned.refuse_other_classes(store)
    planned.refuse_other_channels(store)
    plans = plan_jobs(store, planned.jobs, overwrite)
    known = {path for path in store.groups if store.record(path)}
    if any(plan.missing.size for plan in plans) or not set(planned.groups) <= known:
        added = planned.groups_to_write(store, has_images)
        store.add_groups(added)
        _drop_pixel_sizes(store, added)
    done = run_plans(store, plans, scheduler, on_progress)
    return sum(plan.num_shards for plan in plans), done


def _drop_pixel_sizes(store: Store, groups: Mapping[str, Mapping[str, object]]) -> None:
    """Remove the pixel sizes of an earlier import from the groups of images that are imported without any."""
    for path, attributes in groups.items():
        for key in PIXEL_SIZE_KEYS:
            if key not in attributes and key in store.record(path):
                store.drop_from_record(path, key)
