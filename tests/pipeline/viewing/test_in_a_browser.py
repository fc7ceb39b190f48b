"""A page as Chromium draws it: the image, and over it the labels, the weights and a prediction."""

import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
from numpy.typing import NDArray

import unetprep
from tests.browser import browsing
from tests.synthetic import cell_image, cell_labels

LABELS = cell_labels((64, 80), 9, seed=3, radius=11)
BESIDE = "#0000ff"
SECONDS = 300


def screenshot(viewing: unetprep.Viewing, folder: Path) -> NDArray[np.float64]:
    """The canvas of a page, (y, x, 3), as soon as everything is drawn."""
    taken, arrived = list[Any](), threading.Event()
    with viewing.page.txn() as state, viewing.page.config_state.txn() as config:
        state.show_scale_bar = config.show_ui_controls = config.show_panel_borders = False
        state.cross_section_background_color, state.cross_section_scale = BESIDE, 0.25

    def keep(state: Any) -> None:
        taken.append(state.screenshot.image)
        arrived.set()

    viewing.page.async_screenshot(keep)
    with browsing(viewing.url, folder / "profile", (1060, 500)):
        assert arrived.wait(SECONDS), (folder / "chromium.log").read_text()[-2000:]
    return np.asarray(imageio.imread(BytesIO(taken[0]), extension=".png"), np.float64)[..., :3]


def panels(canvas: NDArray[np.float64], num: int) -> list[NDArray[np.float64]]:
    """The image in each of `num` panels side by side, at its own resolution."""
    found = []
    for k in range(num):
        inner = canvas[:, canvas.shape[1] * k // num : canvas.shape[1] * (k + 1) // num]
        drawn = (inner != (0, 0, 255)).any(axis=-1) & inner.any(axis=-1)
        spans = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
        y, x = (
            (span[0] + (np.arange(n) + 0.5) * (span[-1] + 1 - span[0]) / n).astype(int)
            for span, n in zip(spans, LABELS.shape, strict=True)
        )
        found.append(inner[np.ix_(y, x)])
    return found


def colour(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far pixels are from grey."""
    return np.asarray(np.ptp(picture, axis=-1))


def test_chromium_draws_the_image_and_its_overlays(tmp_path: Path) -> None:
    image, cells = cell_image(LABELS), LABELS > 0
    url = str(tmp_path / "ds.zarr")
    unetprep.import_images(url, image, LABELS, unetprep.ImportParams(intensity="dtype"), name="a")
    unetprep.weights(url)
    np.save(tmp_path / "p.npy", cells.astype(np.float32))
    with unetprep.view(url, prediction=tmp_path / "p.npy") as viewing:
        over_labels, over_weights, over_prediction = panels(screenshot(viewing, tmp_path), 3)
    background = ~cells
    for picture in (over_labels, over_prediction):
        assert colour(picture)[background].max() < 3  # grey, and the grey values of the image
        assert np.abs(picture.mean(axis=-1) - image)[background].mean() < 3
    assert (colour(over_labels)[cells] > 10).mean() > 0.95
    assert (colour(over_prediction)[cells] > 10).mean() > 0.95
    assert len({tuple(c) for c in (over_labels - 0.65 * image[..., None])[cells].round(-1)}) > 6  # cells differ
    red = over_prediction[..., 1] - over_prediction[..., 0]
    assert (red[cells] > 10).mean() > 0.95  # green
    weights = unetprep.weight_map(LABELS.astype(np.int32))
    border = weights > 0.8 * weights.max()
    assert border.sum() > 10
    assert over_weights[border][:, 0].mean() > 200  # the bright end of inferno
    assert over_weights[background & (weights < 2)][:, 0].mean() < 80
