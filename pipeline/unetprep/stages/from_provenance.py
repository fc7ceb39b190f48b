"""Jobs reconstructed from the provenance that the arrays of a store record."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from unetprep.errors import InvalidInput
from unetprep.format.layout import CUT, DENSE, GRIDS, PLACED, ArraySpec, labels_path, weights_path
from unetprep.kernels.weight_formula import DEFAULTS
from unetprep.params import DeformParams, TilesParams, WeightsParams
from unetprep.stages.base import Job
from unetprep.stages.deform import plan_dense, plan_fields
from unetprep.stages.tile_positions import plan_positions
from unetprep.stages.tiles import plan_tiles
from unetprep.stages.weights import plan_targets, plan_weights
from unetprep.store import Store


def separate_of(store: Store, group: str) -> str:
    """The rule that separates the cells of an image or stack in its target."""
    return str(store.record(labels_path(group, "target"))["parameters"]["separate"])


def weights_params(store: Store, group: str) -> WeightsParams:
    """Parameters of the weight map of an image or stack. The class weights are the numbers that were used."""
    made = store.record(weights_path(group))["parameters"]
    formula = made["formula"]
    own = WeightsParams(formula=formula).made_formula().class_weights
    return WeightsParams(
        formula=formula,
        **{constant: made[constant] for constant in DEFAULTS[formula]},
        spacing=made["spacing"],
        class_weights="auto" if own else made["class_weights"],
        border_on=made["border_on"],
        separate=separate_of(store, group),
        engine=made["engine"],
    )


def fields_params(store: Store) -> DeformParams:
    """Parameters of the deformation fields."""
    made = store.record(GRIDS)["parameters"]
    return DeformParams(**made)


def tiles_parameters(store: Store) -> dict[str, Any]:
    """Recorded parameters of the tiles: of their positions, and of the arrays that are cut."""
    return {key: value for path in (PLACED, CUT) for key, value in store.record(path).get("parameters", {}).items()}


def tiles_params(store: Store) -> TilesParams:
    """Parameters of the tiles."""
    made = tiles_parameters(store)
    names = ("tile_px", "margin_px", "depth", "stride_px", "random", "seed", "codec")
    kept = {name: made[name] for name in names if name in made}
    return TilesParams(**kept, index_only="index_only" in made, instances="instances" in made)


def target_job(store: Store, group: str) -> Job | None:
    """The job that made the target of an image or stack; None if another release made it."""
    return _job(store, lambda: plan_targets(store, WeightsParams(separate=separate_of(store, group)), [group]))


def weights_job(store: Store, group: str) -> Job | None:
    """The job that made the weight map of an image or stack; None if another release made it."""
    return _job(store, lambda: plan_weights(store, weights_params(store, group), [group]))


def fields_job(store: Store) -> Job | None:
    """The job that made the deformation fields; None if another release made them."""
    return _job(store, lambda: plan_fields(store, fields_params(store)))


def dense_job(store: Store) -> Job | None:
    """The job that made the dense fields; None if another release made them."""

    def plan() -> Sequence[Job]:
        made = store.record(DENSE)["parameters"]
        return plan_dense(store, replace(fields_params(store), dense=made["dense"], tile_px=made["tile_px"]))

    return _job(store, plan)


def positions_job(store: Store) -> Job | None:
    """The job that computed the positions of the tiles; None if another release made them."""
    return _job(store, lambda: plan_positions(store, tiles_params(store)))


def tiles_job(store: Store) -> Job | None:
    """The job that made the tiles; None if another release made them."""
    return _job(store, lambda: plan_tiles(store, tiles_params(store)))


def _job(store: Store, plan: Callable[[], Sequence[Job]]) -> Job | None:
    """The planned job; None if another release or other software made the arrays."""
    try:
        (job,) = plan()
    except (KeyError, TypeError, InvalidInput):  # what other software recorded, or an array that is not finished
        return None
    return job if all(_is_ours(store.record(spec.path), spec) for spec in job.outputs) else None


def _is_ours(record: dict[str, Any], spec: ArraySpec) -> bool:
    made = spec.provenance
    return (record.get("stage"), record.get("kernel_version")) == (made.stage, made.kernel_version)


def contradiction(store: Store, job: Job) -> str:
    """Path of the first array of a job whose fingerprint is not that of the job; "" if there is none."""
    others = (s.path for s in job.outputs if store.record(s.path).get("fingerprint") != s.provenance.fingerprint)
    return next(others, "")
