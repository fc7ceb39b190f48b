"""Import of images into a store. Every source is read and checked before anything is written."""

import time
from collections.abc import Sequence

from unetprep.layout import image_path, pixels_path
from unetprep.params import ImportParams
from unetprep.plan import plan_jobs
from unetprep.run import Done, Scheduler, Summary, run_plans
from unetprep.stages.importing import plan_import
from unetprep.storage.lock import locked
from unetprep.storage.output import check_sources
from unetprep.storage.storage import open_storage
from unetprep.store import Store
from unetprep.tasks import OnProgress


def import_images(
    url: str,
    images: Sequence[str],
    labels: Sequence[str],
    params: ImportParams,
    scheduler: Scheduler,
    *,
    overwrite: bool = False,
    on_progress: OnProgress = lambda done, total, **shown: None,
) -> Summary:
    """Import images and labels, files or folders, into the store at `url`, which is made if it is not there."""
    start = time.perf_counter()
    check_sources(url, (*images, *labels))
    Store.refuse_other(url)
    with locked(open_storage(url), url):
        total, done = _import(url, images, labels, params, scheduler, overwrite, on_progress)
    return Summary.of("import", total, done, start)


def _import(
    url: str,
    images: Sequence[str],
    labels: Sequence[str],
    params: ImportParams,
    scheduler: Scheduler,
    overwrite: bool,
    on_progress: OnProgress,
) -> tuple[int, Done]:
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
    return sum(plan.num_shards for plan in plans), done
