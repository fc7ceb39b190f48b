"""Choice of the panels of a prediction: their width, rows and number at once, for the memory at hand."""

import torch

from unetprep.host_memory import available_memory
from unetprep.kernels.tiling import border_px, output_size, smallest_tile
from unettrain.config import UNetConfig
from unettrain.errors import InvalidInput
from unettrain.model import UNet, check_side
from unettrain.prediction.panels import PanelPlan
from unettrain.prediction.strip_plan import StripPlan

CPU_ROWS, GPU_ROWS = 32, 512  # of a strip; on the CPU twice as many take twice the memory and 0.92 of the time
CPU_BYTES = 2**29
SHARE = 4  # of the available memory at most one part in so many
MOST_AT_ONCE = 64
CPU_WIDEST_PX, GPU_WIDEST_PX = 4096, 16384  # of a panel; its context is 188 columns more, 5 % of 4096


def plan_panels(
    model: UNet, shape: tuple[int, ...], tile_px: int | None = None, batch: int | None = None, itemsize: int = 4
) -> PanelPlan:
    """The panels of an image (c, z, y, x) for the device of a model, whose activations take `itemsize` bytes a value.

    `tile_px` is the width of a panel with its context, a legal tile, and `batch` the number of panels at once; both are
    chosen for the available memory where they are not given. Raises InvalidInput for an illegal tile and batch.
    """
    config, device = model.config, next(model.parameters()).device
    slices, height, width = shape[1:]
    if batch is not None and batch < 1:
        raise InvalidInput(f"batch is {batch}", allowed="at least 1")
    wanted, most = (GPU_ROWS, GPU_WIDEST_PX) if device.type == "cuda" else (CPU_ROWS, CPU_WIDEST_PX)
    rows, memory = _rows(config.depth, height, wanted), _memory(device)
    if tile_px is None:
        widest = _widest(config, min(width, most), height, rows, memory, itemsize)
    else:
        widest = _used(tile_px, config.depth)
    panel = _rounded(-(-width // -(-width // widest)), config.depth)  # as many panels, all of one width
    if batch is None:
        one = strip_bytes(config, StripPlan(config.depth, rows, height), panel, itemsize)
        num = slices * -(-width // panel)
        batch = max(1, min(num, MOST_AT_ONCE, memory // one)) if device.type == "cuda" else 1
    return PanelPlan((slices, height, width), config.depth, panel, rows, batch)


def strip_bytes(config: UNetConfig, strips: StripPlan, width: int, itemsize: int = 4) -> int:
    """Memory that the network takes for a panel of this width, in bytes, besides its weights."""
    total, largest, columns = 0, 0, width + border_px(strips.depth) + 4
    for level in range(strips.depth):
        channels, layer = config.base_channels << level, strips.down[level]
        delay = strips.up[level].lag - strips.crop_px(level) - layer.lag
        kept = (-(-delay // layer.rows) + 2) * layer.rows + 2 * 4  # of the skip; and of four convolutions
        total += channels * columns * kept
        largest = max(largest, 4 * channels * columns * (layer.rows + 2))  # two inputs of a merge, and two outputs
        columns //= 2
    return itemsize * (total + largest)


def _memory(device: torch.device) -> int:
    """Bytes that a prediction may use on a device: a power of 2, so that a repeated prediction has the same panels."""
    if device.type == "cuda":
        found = torch.cuda.mem_get_info(device)[0] // 2
    else:
        available = available_memory()
        found = CPU_BYTES if available is None else min(CPU_BYTES, available // SHARE)
    return 1 << max(0, found.bit_length() - 1)


def _rows(depth: int, height: int, wanted: int) -> int:
    """Rows of a strip: a multiple of 2^(depth + 1), and no more than the image needs."""
    least = 2 << depth
    most = height + StripPlan(depth, least, height).output.lag
    return -(-min(max(wanted, least), most) // least) * least


def _widest(config: UNetConfig, width: int, height: int, rows: int, memory: int, itemsize: int) -> int:
    """The widest panel that fits into memory, at most of this width."""
    strips = StripPlan(config.depth, rows, height)
    step = 1 << config.depth
    context = border_px(config.depth) + step
    columns = int(memory / strip_bytes(config, strips, width, itemsize) * (width + context)) - context
    return max(step, min(_rounded(width, config.depth), columns // step * step))


def _used(tile_px: int, depth: int) -> int:
    """The columns that are used of a tile: the greatest multiple of 2^depth in its output, 384 of 572 at depth 4."""
    check_side(tile_px, depth)
    tile_px = max(tile_px, smallest_tile(depth) + (1 << depth))  # 188 at depth 4 gives 4 pixels: none to use
    return max(1, output_size(tile_px, depth) >> depth) << depth


def _rounded(pixels: int, depth: int) -> int:
    return -(-pixels // (1 << depth)) * (1 << depth)
