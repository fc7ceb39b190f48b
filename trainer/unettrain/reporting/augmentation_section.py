"""Report section 4, augmentation: training tiles beside what the network sees of them in the first epochs."""

from dataclasses import asdict, fields
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.tiling import border_px
from unetprep.pictures import display_range, grey
from unettrain.augment.draw import Draw
from unettrain.config import FitConfig
from unettrain.errors import InvalidInput
from unettrain.reporting.inputs import Run, training_tiles
from unettrain.reporting.page import Html, element, figure, grid, join, legend, paragraph, picture, section
from unettrain.reporting.pictures import outline_path
from unettrain.stream.tile_stream import TileStream

NUM_TILES, NUM_EPOCHS = 2, 3
MAX_PX = 320  # larger tiles are shown at half their resolution, or less: the page stays small
TITLE = "Augmentation: one tile in several epochs"


def augmentation_section(run: Run) -> Html:
    """Some training tiles, each as stored and as augmented in the first epochs of the run."""
    try:
        stream = _stream(run)
    except InvalidInput as error:
        reason = paragraph(f"No tiles are shown, since the store no longer fits the run: {error.problem}.")
        return section("augmentation", TITLE, reason)
    words = paragraph(
        "Each row is one training tile: as it is stored, then as the network sees it in epochs 0 to"
        f" {NUM_EPOCHS - 1} of this run, with the sampled deformation, mirroring, rotation and gray values (unettrain"
        " draws lists them). The outline of the target must follow the cells in every picture."
    )
    colours = legend([("var(--output)", "output area"), ("var(--true)", "outline of the target")])
    rows = (grid(*_figures(stream, tile), kind="four") for tile in chosen_tiles(run))
    return section("augmentation", TITLE, words, *rows, colours)


def _stream(run: Run) -> TileStream:
    """The training tiles as the run sees them. Raises InvalidInput if the store no longer fits the run."""
    known = {f.name: run.record["fit"][f.name] for f in fields(FitConfig) if f.name in run.record["fit"]}
    return TileStream.of(run.store, FitConfig(**known | {"augment_on": "threads"}))


def chosen_tiles(run: Run) -> list[int]:
    """The training tiles with the largest fraction of cells, of different images as far as there are any."""
    tiles = training_tiles(run)
    order = np.argsort(-tiles["foreground"], kind="stable")
    firsts = np.sort(np.unique(tiles["image_index"][order], return_index=True)[1])  # the best of each image, best first
    chosen = list(dict.fromkeys([*order[firsts].tolist(), *order.tolist()]))[:NUM_TILES]
    return [int(tiles["tile"][k]) for k in chosen]


def _figures(stream: TileStream, tile: int) -> list[Html]:
    draws = [Draw(), *(stream.draw(epoch, tile) for epoch in range(NUM_EPOCHS))]
    batch = stream.replay([{"tile": tile, "draw": asdict(choice)} for choice in draws])
    images, targets = batch.image.numpy(), batch.target.numpy()
    limits = display_range(images[0])  # of the stored tile, so that changed gray values are seen
    before = border_px(stream.tiles.depth) // 2
    titles = [f"Tile {tile}.", *(f"Epoch {epoch}." for epoch in range(NUM_EPOCHS))]
    said = ["As stored.", *map(described, draws[1:])]
    return [
        figure(_tile(image, target, before, limits, f"{title} {words}"), title, words)
        for image, target, title, words in zip(images, targets, titles, said, strict=True)
    ]


def _tile(image: NDArray[np.float32], target: NDArray[Any], before: int, limits: tuple[float, float], alt: str) -> Html:
    step = ceil(image.shape[-1] / MAX_PX)
    place = {"transform": f"scale({1 / step:.6g}) translate({before} {before})"}
    side = target.shape[-1]
    marks = [
        element("path", d=outline_path(target), class_="true", **place),
        element("rect", x=0, y=0, width=side, height=side, class_="output", **place),
    ]
    return picture(grey(reduced(image, step), limits), f"A training tile with its target: {alt}", join(marks))


def reduced(image: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Means over squares of `step` pixels of an image (c, y, x); a rest at the end is left out."""
    channels, height, width = (n if k == 0 else n // step for k, n in enumerate(image.shape))
    whole = image[:, : height * step, : width * step]
    return np.asarray(whole.reshape(channels, height, step, width, step).mean(axis=(2, 4)), np.float32)


def described(choice: Draw) -> str:
    """Augmentation parameters in words; those without effect are left out."""
    parts = [
        (choice.field is not None, f"field {choice.field}"),
        (choice.turn >= 4, "mirrored"),
        (choice.turn % 4 > 0, f"turned by {90 * (choice.turn % 4)}\N{DEGREE SIGN}"),
        (choice.angle != 0, f"rotated by {choice.angle:.0f}\N{DEGREE SIGN}"),
        (choice.scale != 1, f"scaled by {choice.scale:.2f}"),
        (choice.shift != (0.0, 0.0), f"shifted by {choice.shift[0]:.0f}, {choice.shift[1]:.0f} pixels (y, x)"),
        (choice.slope != 1, f"gray slope {choice.slope:.2f}"),
        (choice.noise > 0, f"noise {choice.noise:g}"),
        (choice.blur > 0, f"blurred by {choice.blur:.1f} pixels"),
    ]
    words = ", ".join(text for is_used, text in parts if is_used)
    return f"{words[:1].upper()}{words[1:]}." if words else "Unchanged."
