"""Shape of the network: parameters, layers, sides and channels of every level (section 2 and Fig. 1), legal sizes."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from unettrain.config import UNetConfig
from unettrain.errors import InvalidInput
from unettrain.model import UNet
from unettrain.paper_check.line import Line, compared, listed
from unettrain.paper_check.trace import channels, sides, trace

PAPER, RELEASE = UNetConfig(), UNetConfig(variant="release")
LARGEST_TRIED_PX = 600
NARROW = UNetConfig(base_channels=1)


def shape_lines() -> Iterator[Line]:
    """The full network on torch's meta device, which computes shapes alone."""
    yield _parameters(PAPER, "parameters", "section 2, counted", 31_030_658)
    yield _parameters(RELEASE, "parameters of --variant release", "release", 31_100_354)
    yield _layers()
    model = UNet(PAPER, seed=None)
    inputs, outputs = trace(model, torch.empty(1, 1, 572, 572, device="meta"))
    yield _numbers("contracting sides", sides(outputs, "down", "bottom"), [568, 280, 136, 64, 28])
    yield _numbers("contracting channels", channels(outputs, "down", "bottom"), [64, 128, 256, 512, 1024])
    yield _numbers("up-convolution sides", sides(outputs, "up"), [56, 104, 200, 392])
    yield _numbers("up-convolution channels", channels(outputs, "up"), [512, 256, 128, 64])
    yield _numbers("concatenated channels", channels(inputs, "merge"), [1024, 512, 256, 128])
    yield _numbers("expanding sides", sides(outputs, "merge"), [52, 100, 196, 388])
    shape = tuple(outputs["head"].shape[1:])
    yield compared("output", "Fig. 1", "2 maps of 388 x 388 from 572 x 572", shape, shape == (2, 388, 388))
    yield _crops()
    yield _legal_sizes()


def _parameters(config: UNetConfig, name: str, source: str, says: int) -> Line:
    found = sum(p.numel() for p in UNet(config, seed=None).parameters())
    return compared(name, source, f"{says:,}", f"{found:,}", found == says)


def _layers() -> Line:
    kinds = [m for m in UNet(PAPER, seed=None).modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    found = [
        sum(isinstance(m, kind) and m.kernel_size == (k, k) and m.stride == (s, s) for m in kinds)
        for kind, k, s in ((nn.Conv2d, 3, 1), (nn.ConvTranspose2d, 2, 2), (nn.Conv2d, 1, 1))
    ]
    text = f"{len(kinds)}: {found[0]} of 3x3, {found[1]} up of 2x2, {found[2]} of 1x1"
    says = "23: 18 of 3x3, 4 up of 2x2, 1 of 1x1"
    return compared("convolutional layers", "section 2", says, text, text == says)


def _numbers(name: str, found: list[int], says: list[int]) -> Line:
    return compared(name, "Fig. 1", listed(says), listed(found), found == says)


def _crops() -> Line:
    """Crop of each skip, deepest first, read from skips whose values are their row numbers."""

    def rows(name: str, output: Tensor) -> Tensor:
        ramp = torch.arange(output.shape[2], dtype=torch.float32)[:, None].expand(output.shape[2:])
        return ramp.expand(output.shape) if name.startswith("down") else output

    model = UNet(NARROW).eval()
    inputs, outputs = trace(model, torch.zeros(1, 1, 188, 188), rows)
    found = []
    for name, seen in inputs.items():
        if name.startswith("merge"):
            first, last = (int(seen[0, -1, row, 0]) for row in (0, -1))
            below = outputs[name.replace("merge", "down")].shape[2] - 1 - last
            found.append(f"{first}" if first == below else f"{first} and {below}")
    says = [4, 16, 40, 88]
    return compared(
        "crops of the skips at each edge", "Fig. 1", listed(says), listed(found), found == [*map(str, says)]
    )


def _legal_sizes() -> Line:
    """Sides that the network accepts, by asking it."""
    model, found, outputs = UNet(NARROW, seed=None), [], []
    for side in range(1, LARGEST_TRIED_PX + 1):
        try:
            scores = model(torch.empty(1, 1, side, side, device="meta"))
        except InvalidInput:
            continue
        found.append(side)
        outputs.append(side - scores.shape[-1])
    expected = [16 * k + 60 for k in range(8, LARGEST_TRIED_PX) if 16 * k + 60 <= LARGEST_TRIED_PX]
    holds = found == expected and set(outputs) == {184}
    first = f"{found[0]}, {found[1]} ... {found[-1]}" if len(found) > 1 else listed(found)
    return compared(
        "legal tiles",
        "section 2",
        "sides that are even before each pooling: 16 k + 60 from 188 on, and 184 less comes out",
        f"{first}, {listed(sorted(set(outputs)))} less",
        holds,
    )
