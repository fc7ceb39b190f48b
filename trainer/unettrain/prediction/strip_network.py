"""The network of `unettrain.model`, evaluated strip by strip: every row of every layer is computed once.

Each convolution keeps the last two rows of its input, and each skip the rows that its merge still waits for. The first
rows after a start have seen zeros in the place of what was before; `StripPlan.warm_up` says for how long. The arrays of
all steps have one shape, so that the result of a row does not depend on where a prediction began.

A same-padded network is evaluated without its padding: mirrored context takes the place of the zeros, as in training
(`unettrain.model`), where no score of a target has seen a zero of the padding.
"""

from collections import deque

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unettrain.model import UNet
from unettrain.prediction.strip_plan import Layer, StripPlan


class StripNetwork:
    """Scores of strips that follow each other downwards: (b, c, rows, width) -> (b, class, rows, width - border).

    The strips are those of `plan`, in order. Scores are float32; with another `dtype`, such as bfloat16, all layers
    compute in it. The model is not changed, and should be in evaluation mode.
    """

    def __init__(
        self, model: UNet, plan: StripPlan, batch: int, width: int, dtype: torch.dtype = torch.float32
    ) -> None:
        self.plan, self.depth = plan, plan.depth
        memory = _Scratch(batch, next(model.parameters()).device, dtype)
        self._down: list[_TwoConvolutions] = []
        self._skips: list[_Skip] = []
        self._merge: list[_TwoConvolutions] = []
        for level, block in enumerate([*model.down, model.bottom]):
            self._down.append(_TwoConvolutions(block, memory, plan.down[level].rows, width))
            width -= 4
            if level < self.depth:
                self._skips.append(_Skip(plan, level))
                width //= 2
        for level in reversed(range(self.depth)):
            width *= 2
            self._merge.insert(0, _TwoConvolutions(model.merge[level], memory, plan.up[level].rows, width))
            width -= 4
        self._up = [_weights(module, dtype) for module in model.up]
        self._up_has_relu = model.config.variant == "release"
        self._head = _weights(model.head, dtype)

    @torch.inference_mode()
    def push(self, strip: Tensor | None, step: int) -> Tensor | None:
        """The scores of a step, of the rows from `plan.output.start(step)` on; None if none of them is of use.

        `strip` is the input of the step; None where `plan.needs_input` says that it is not needed.
        """
        x = strip
        for level in range(self.depth + 1):
            if x is not None:
                is_due = self.plan.down[level].is_due(step, before=4)  # the last rows of its input may be of use
                x = self._down[level](x) if is_due else None
            if level < self.depth:
                x = None if x is None else self._skips[level].push(x, step)
        for level in reversed(range(self.depth)):
            x = None if x is None else self._merged(x, level, step)
        return None if x is None else F.conv2d(x, *self._head).float()

    def _merged(self, x: Tensor, level: int, step: int) -> Tensor | None:
        layer = self.plan.up[level]
        if not layer.is_due(step):
            return None
        x = F.conv_transpose2d(x, *self._up[level], stride=2)
        x = x.relu_() if self._up_has_relu else x
        rows = self._merge[level].new_rows()  # [upsampled, skip]
        rows[:, : x.shape[1]].copy_(x)
        self._skips[level].copy_to(rows[:, x.shape[1] :], layer.start(step) + self.plan.crop_px(level))
        return self._merge[level].output()


class _Scratch:
    """Memory that the inputs of all convolutions share, one after the other."""

    def __init__(self, batch: int, device: torch.device, dtype: torch.dtype) -> None:
        self.batch, self.device, self.dtype = batch, device, dtype
        self._memory = torch.zeros(0, device=device, dtype=dtype)

    def reserve(self, channels: int, rows: int, width: int) -> None:
        """Make the memory large enough for an input of this shape."""
        size = self.batch * channels * rows * width
        if size > self._memory.numel():
            self._memory = torch.zeros(size, device=self.device, dtype=self.dtype)

    def view(self, channels: int, rows: int, width: int) -> Tensor:
        """The memory as an array (b, c, y, x) in the order of channels-last."""
        size = self.batch * channels * rows * width
        return self._memory[:size].view(self.batch, rows, width, channels).permute(0, 3, 1, 2)


def _weights(module: nn.Module, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a convolution in a dtype."""
    weight, bias = module.weight, module.bias
    assert isinstance(weight, Tensor)
    weight = weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
    return weight, bias.detach().to(dtype) if isinstance(bias, Tensor) else None


class _Convolution:
    """A 3x3 convolution without padding, and its normalisation, of strips that follow each other."""

    def __init__(self, parts: list[nn.Module], memory: _Scratch, rows: int, width: int) -> None:
        convolution, *self._norms, _ = parts  # the last is a ReLU
        assert isinstance(convolution, nn.Conv2d)
        self._weights = _weights(convolution, memory.dtype)
        self._memory, self._shape = memory, (convolution.in_channels, rows + 2, width)
        memory.reserve(*self._shape)
        shape = (memory.batch, convolution.in_channels, 2, width)
        kept = torch.zeros(shape, device=memory.device, dtype=memory.dtype)
        self._kept = kept.contiguous(memory_format=torch.channels_last)

    def new_rows(self) -> Tensor:
        """The place for the new rows of the input, in the memory that all convolutions share."""
        rows = self._memory.view(*self._shape)
        rows[:, :, :2].copy_(self._kept)
        return rows[:, :, 2:]

    def __call__(self) -> Tensor:
        """The new rows of the output, from those in their place."""
        rows = self._memory.view(*self._shape)
        self._kept.copy_(rows[:, :, -2:])
        x = F.conv2d(rows, *self._weights)
        for norm in self._norms:
            x = norm(x)
        return x


class _TwoConvolutions:
    """The two convolutions of a level, each followed by a ReLU, of strips that follow each other."""

    def __init__(self, block: nn.Module, memory: _Scratch, rows: int, width: int) -> None:
        parts = list(block.children())
        half = len(parts) // 2
        self._first, self._second = (
            _Convolution(some, memory, rows, width - 2 * i) for i, some in enumerate((parts[:half], parts[half:]))
        )

    def __call__(self, strip: Tensor) -> Tensor:
        """The new rows of the output."""
        self.new_rows().copy_(strip)
        return self.output()

    def new_rows(self) -> Tensor:
        """The place for the new rows of the input."""
        return self._first.new_rows()

    def output(self) -> Tensor:
        """The new rows of the output, from those in their place."""
        between = self._first()
        torch.clamp_min(between, 0, out=self._second.new_rows())  # the ReLU, and the copy to where it is needed
        return self._second().relu_()


class _Skip:
    """The rows of a level that its merge still waits for, and the pooling of them."""

    def __init__(self, plan: StripPlan, level: int) -> None:
        self._layer: Layer = plan.down[level]
        self._waits = self._layer.lag % 2 == 1  # then pairs of rows begin one row earlier
        self._rows: deque[tuple[int, Tensor]] = deque()

    def push(self, rows: Tensor, step: int) -> Tensor:
        """Keep the rows of a step, and pool them."""
        self._rows.append((self._layer.start(step), rows))
        if not self._waits:
            return F.max_pool2d(rows, 2)
        last = self._rows[-2][1][:, :, -1:] if len(self._rows) > 1 else torch.zeros_like(rows[:, :, :1])
        return F.max_pool2d(torch.cat([last, rows[:, :, :-1]], dim=2), 2)

    def copy_to(self, out: Tensor, first: int) -> None:
        """Copy the rows from `first` on, cropped to the width of `out`, and forget those that nothing waits for."""
        num = out.shape[2]
        for start, rows in self._rows:
            low, high = max(first, start), min(first + num, start + rows.shape[2])
            if low < high:
                left = (rows.shape[3] - out.shape[3]) // 2
                part = rows[:, :, low - start : high - start, left : left + out.shape[3]]
                out[:, :, low - first : high - first].copy_(part)
        while len(self._rows) > 1 and self._rows[0][0] + self._rows[0][1].shape[2] <= first + num:
            self._rows.popleft()
