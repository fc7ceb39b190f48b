"""Import as a run: plan it, then make the store and fill it. Nothing is written before every source has been read."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unetprep.layout import image_path, pixels_path
from unetprep.params import ImportParams
from unetprep.plan import plan_jobs
from unetprep.run import Done, Scheduler, Summary, run_plans
from unetprep.stages.importing import Import, plan_import
from unetprep.stages.ranges import range_summary, range_warnings
from unetprep.storage.storage import open_storage
from unetprep.store import Store
from unetprep.store.lock import locked
from unetprep.tasks import OnProgress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImportSummary(Summary):
    """What an import did, and the ranges of the images."""

    ranges: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    def __str__(self) -> str:
        return "\n".join(filter(None, [super().__str__(), range_summary(self.ranges.values())]))


def import_images(
    url: str,
    images: Sequence[str],
    labels: Sequence[str],
    params: ImportParams,
    scheduler: Scheduler,
    *,
    overwrite: bool = False,
    on_progress: OnProgress = lambda done, total, **shown: None,
) -> ImportSummary:
    """Import images and labels, files or folders, into the store at `url`, which is made if it is not there.

    Images with extreme outliers are named in warnings, which are also logged.
    """
    start = time.perf_counter()
    Store.refuse_other(url)
    with locked(open_storage(url), url):
        planned, total, done = _import(url, images, labels, params, scheduler, overwrite, on_progress)
    warnings = range_warnings(planned.ranges)
    for warning in warnings:
        log.warning("%s", warning)
    ranges = {name: seen.as_values() for name, seen in planned.ranges.items()}
    summary = Summary.of("import", total, done, start)
    return ImportSummary(**vars(summary), ranges=ranges, warnings=warnings)


def _import(
    url: str,
    images: Sequence[str],
    labels: Sequence[str],
    params: ImportParams,
    scheduler: Scheduler,
    overwrite: bool,
    on_progress: OnProgress,
) -> tuple[Import, int, Done]:
    reader = scheduler.worker.for_one_thread()
    planned = plan_import(images, labels, params, lambda needed: reader.refuse(reader.fixed_bytes + needed))
    store = Store.open_or_create(url)
    planned.refuse_leakage(store)
    plans = plan_jobs(store, planned.jobs, overwrite)
    known = {name for name in store.names if store.record(image_path(name))}
    if any(plan.missing.size for plan in plans) or not set(planned.images) <= known:
        with_pixels = {name for name in planned.images if store.record(pixels_path(name))}
        store.add_images({n: about for n, about in planned.images.items() if images or n not in with_pixels})
    done = run_plans(store, plans, scheduler, on_progress)
    return planned, sum(plan.num_shards for plan in plans), done
