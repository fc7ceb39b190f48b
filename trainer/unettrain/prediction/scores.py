"""Scores of an image, unit by unit: by panels, or by whole slices where panels would not be exact."""

from collections.abc import Iterator

import torch

from unettrain.data.intensity import ArrayLike
from unettrain.model import UNet
from unettrain.prediction.panel_sizes import plan_panels
from unettrain.prediction.panels import PanelPlan, Predicted, predict_panels
from unettrain.prediction.whole import WholePlan, plan_whole, predict_slices

NOT_LOCAL = (
    "this network has instance normalisation, whose scores depend on all pixels of its input, not on tiles of it"
)

Plan = PanelPlan | WholePlan


def plan_prediction(
    model: UNet, shape: tuple[int, ...], tile_px: int | None = None, batch: int | None = None, itemsize: int = 4
) -> Plan:
    """The units of work for an image (c, z, y, x); see `plan_panels` and `plan_whole` for arguments and errors."""
    panels = plan_panels(model, shape, tile_px, batch, itemsize)
    return panels if model.config.is_local else plan_whole(model, shape, NOT_LOCAL)


def predict_units(
    model: UNet,
    image: ArrayLike,
    intensity: tuple[float, float],
    plan: Plan,
    *,
    first_unit: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Iterator[Predicted]:
    """Predict an image unit by unit, beginning with `first_unit`; see `predict_panels`."""
    if isinstance(plan, PanelPlan):
        return predict_panels(model, image, intensity, plan, first_unit=first_unit, dtype=dtype)
    return predict_slices(model, image, intensity, plan, first_unit=first_unit, dtype=dtype)
