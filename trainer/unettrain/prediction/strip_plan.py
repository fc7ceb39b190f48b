"""Plan of a prediction by strips: which rows each layer of the network computes at each step. Integers only.

The network slides down the image. At every step it is given the next `rows` rows of its input, and each layer computes
the next rows of its own output from them and from the last rows of its own input, which it keeps. Nothing is computed
twice, and memory does not grow with the height of the image. The rows of an array are numbered as in the unpadded
network of one tile of the whole image, which begins `border_px / 2` pixels before the image: row r of a 3x3 convolution
needs the rows r to r + 2 of its input. A layer lags behind the input by the rows that it still waits for:

    step t, level 0:  input        rows  16 t ... 16 t + 15        (of 16 rows a step)
                      convolution  rows  16 t - 2 ... 16 t + 13    (lag 2)
                      convolution  rows  16 t - 4 ... 16 t + 11    (lag 4)
                      pooling      rows   8 t - 2 ...  8 t + 5     (lag 4 / 2; one more if it were odd)
"""

from dataclasses import dataclass
from functools import cached_property

from unetprep.kernels.tiling import border_px


@dataclass(frozen=True)
class Layer:
    """The rows of an array at one level: `rows` a step, `lag` rows behind; only the first `needed` are of use."""

    rows: int
    lag: int
    needed: int

    def start(self, step: int) -> int:
        """The first row that is computed at a step."""
        return step * self.rows - self.lag

    def is_due(self, step: int, before: int = 0) -> bool:
        """Whether any row of a step is of use, or any of the `before` rows that follow it."""
        return -self.rows - before < self.start(step) < self.needed


@dataclass(frozen=True)
class StripPlan:
    """Rows of every layer of a network of this depth, for an image of `height` pixels and `rows` rows a step.

    `rows` is a multiple of 2^(depth + 1), so that each level has at least the two rows that a convolution keeps.
    """

    depth: int
    rows: int
    height: int

    def __post_init__(self) -> None:
        assert self.rows % (2 << self.depth) == 0, self.rows

    @property
    def before_px(self) -> int:
        """Rows and columns of context before the image, with which the input begins."""
        return border_px(self.depth) // 2

    def crop_px(self, level: int) -> int:
        """Pixels by which a skip begins before the upsampled array: 4, 16, 40 and 88 from the deepest level up."""
        return border_px(self.depth - level) // 2 - 4

    @cached_property
    def down(self) -> tuple[Layer, ...]:
        """The second convolution of each level of the contracting path; the last is the bottom."""
        found, lag = [], 0
        for level in range(self.depth + 1):
            found.append(Layer(self.rows >> level, lag + 4, self._needed_down[level]))
            lag = self.pooled_lag(lag + 4)
        return tuple(found)

    @cached_property
    def up(self) -> tuple[Layer, ...]:
        """The upsampled array of each level of the expanding path, which two convolutions follow."""
        found: list[Layer] = []
        lag = self.down[-1].lag
        for level in reversed(range(self.depth)):
            found.insert(0, Layer(self.rows >> level, 2 * lag, self._needed_up[level]))
            lag = 2 * lag + 4
        return tuple(found)

    @property
    def output(self) -> Layer:
        """The scores."""
        return Layer(self.rows, self.up[0].lag + 4, self.height)

    @staticmethod
    def pooled_lag(lag: int) -> int:
        """Lag of what is pooled from a layer of this lag: pooling waits until pairs of rows begin at an even row."""
        return -(-lag // 2)

    def needs_input(self, step: int) -> bool:
        """Whether the input of a step is needed. That of the last steps only fills the strips."""
        return self.down[0].start(step) < self.down[0].needed

    @property
    def num_steps(self) -> int:
        """Steps until the last row of the image is predicted."""
        return -(-(self.height + self.output.lag) // self.rows)

    @property
    def warm_up(self) -> int:
        """Steps after which nothing depends on what was before them: a prediction can begin anew in the middle."""
        return -(-(self.output.lag + (1 << self.depth)) // self.rows)

    @cached_property
    def _needed_up(self) -> tuple[int, ...]:
        found, needed = [], self.height
        for _ in range(self.depth):
            found.append(needed + 4)
            needed = -(-(needed + 4) // 2)
        return tuple(found)

    @cached_property
    def _needed_down(self) -> tuple[int, ...]:
        needed = -(-self._needed_up[-1] // 2)
        found = [needed]
        for level in reversed(range(self.depth)):
            needed = max(2 * (needed + 4), self._needed_up[level] + self.crop_px(level))
            found.insert(0, needed)
        return tuple(found)
