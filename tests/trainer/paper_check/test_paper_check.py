"""The comparison with the paper: all lines hold, and a line fails once the code it checks is broken."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import unetprep.kernels.weights
import unettrain.model
from unetprep.kernels.weight_formula import Formula, Gaussian
from unettrain.config import UNetConfig
from unettrain.config.presets import PRESETS
from unettrain.errors import InvalidInput
from unettrain.model import UNet
from unettrain.paper_check.check import check_against_paper
from unettrain.paper_check.data_lines import data_lines
from unettrain.paper_check.layer_lines import layer_lines
from unettrain.paper_check.line import DIFFERS, FAIL, PASS, Line, PaperCheck, compared
from unettrain.paper_check.prediction_lines import prediction_lines
from unettrain.paper_check.shape_lines import shape_lines
from unettrain.paper_check.training_lines import training_lines
from unettrain.prediction.turns import turns_of

Patch = pytest.MonkeyPatch
Break = Callable[[Patch], object]
data = partial(data_lines, 10.0, (3, 3))


def test_this_code_is_the_papers_and_differs_for_stated_reasons_only() -> None:
    done = check_against_paper()
    assert done.failed == ()
    assert len({line.name for line in done.lines}) == len(done.lines) >= 55
    for line in done.lines:
        assert line.source
        assert line.says
        assert line.found
        assert bool(line.reason) == (line.status == DIFFERS)
    differing = {line.name for line in done.lines if line.status == DIFFERS}
    assert {"learning rate", "rotation and shift"} <= differing


def test_a_line_differs_on_purpose_only_as_long_as_it_holds() -> None:
    assert compared("a", "section 2", "1", 1, True).status == PASS
    assert compared("a", "section 2", "1", 2, True, "why").status == DIFFERS
    failed = compared("a", "section 2", "1", 3, False, "why")
    assert (failed.status, failed.reason) == (FAIL, "")
    done = PaperCheck((failed, Line("b", "Eq. 1", "2", "3", DIFFERS, "because")))
    assert done.failed == ("a",)
    assert done.as_dict()["counts"] == {"PASS": 0, "DIFFERS": 1, "FAIL": 1}
    assert done.as_text().splitlines() == [
        "FAIL    a (section 2): 1; here: 3",
        "DIFFERS b (Eq. 1): 2; here: 3",
        "        because",
        "paper-check: 0 PASS, 1 DIFFERS, 1 FAIL",
    ]


def rebuilt(convolution: Callable[[int, int], list[nn.Module]]) -> Break:
    return lambda patch: patch.setattr(unettrain.model, "convolution", lambda a, b, _: convolution(a, b))


def padded(c_in: int, c_out: int) -> list[nn.Module]:
    return [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU()]


def normalised(c_in: int, c_out: int) -> list[nn.Module]:
    return [nn.Conv2d(c_in, c_out, 3), nn.InstanceNorm2d(c_out), nn.ReLU()]


def leaky(c_in: int, c_out: int) -> list[nn.Module]:
    return [nn.Conv2d(c_in, c_out, 3), nn.LeakyReLU(0.1)]


def corner(features: Tensor, sides: tuple[int, int]) -> Tensor:
    return features[:, :, : sides[0], : sides[1]]


def model_attribute(name: str, value: object) -> Break:
    return lambda patch: patch.setattr(f"unettrain.model.{name}", value)


def other_std(patch: Patch) -> None:
    incoming = UNet._incoming
    patch.setattr(UNet, "_incoming", lambda self, module: incoming(self, module) / 2)


def biased(patch: Patch) -> None:
    initialize = UNet.initialize

    @torch.no_grad()
    def shifted(self: UNet, seed: int) -> None:
        initialize(self, seed)
        assert self.head.bias is not None
        self.head.bias += 0.1

    patch.setattr(UNet, "initialize", shifted)


def of_tile_mean(patch: Patch) -> None:
    forward = UNet.forward
    patch.setattr(UNet, "forward", lambda self, image: forward(self, image - image.mean()))


def dropout(change: Callable[[Tensor, float, bool], Tensor]) -> Break:
    return lambda patch: patch.setattr("unettrain.model.F.dropout", change)


DROPOUT, CAT, CROSS_ENTROPY, SGD = F.dropout, torch.cat, F.cross_entropy, torch.optim.SGD
CLIP = nn.utils.clip_grad_norm_


def reversed_cat(tensors: Any, *args: Any, **more: Any) -> Tensor:
    return CAT(list(reversed(tensors)), *args, **more)


BROKEN: dict[str, tuple[Callable[[], Iterator[Line]], str, Break]] = {
    "eight-px steps": (shape_lines, "legal tiles", lambda patch: patch.setattr(
        UNetConfig, "is_legal_tile", lambda self, side: side >= 188 and side % 8 == 4)),
    "corner crop": (shape_lines, "crops of the skips at each edge", model_attribute("centre_crop", corner)),
    "padded: sides": (shape_lines, "contracting sides", rebuilt(padded)),
    "padded: output": (shape_lines, "output", rebuilt(padded)),
    "padded": (layer_lines, "padding", rebuilt(padded)),
    "normalised": (layer_lines, "normalisation layers", rebuilt(normalised)),
    "leaky ReLU": (layer_lines, "ReLU", rebuilt(leaky)),
    "mean pooling": (layer_lines, "pooling", lambda patch: patch.setattr("unettrain.model.F.max_pool2d", F.avg_pool2d)),
    "reversed concatenation": (layer_lines, "order of the concatenation", lambda patch: patch.setattr(
        "unettrain.model.torch.cat", reversed_cat)),
    "no dropout": (layer_lines, "dropout", dropout(lambda x, p, training: x)),
    "less dropout": (layer_lines, "dropout", dropout(lambda x, p, training: DROPOUT(x, 0.3, training))),
    "dropout for ever": (layer_lines, "dropout in prediction", dropout(lambda x, p, training: DROPOUT(x, p, True))),
    "wider weights": (layer_lines, "initial weights", other_std),
    "biases": (layer_lines, "initial biases", biased),
    "negative loss": (training_lines, "loss of a worked example", lambda patch: patch.setattr(
        "unettrain.loss.F.cross_entropy", lambda *args, **more: -CROSS_ENTROPY(*args, **more))),
    "less momentum": (training_lines, "momentum", lambda patch: patch.setattr(
        "unettrain.optimizer.torch.optim.SGD", lambda p, rate, momentum: SGD(p, rate, 0.9))),
    "narrow preset": (training_lines, "choice of base-channels", lambda patch: patch.setitem(
        PRESETS["paper"], "base_channels", 16)),
    "clipping": (training_lines, "one update", lambda patch: patch.setattr(
        "torch.nn.utils.clip_grad_norm_", lambda p, most: CLIP(p, 1e-3))),
    "narrow border": (data, "border term at (5, 5)", lambda patch: patch.setattr(
        unetprep.kernels.weights, "make_formula", lambda *_: Formula(Gaussian(10, 4)))),
    "unbalanced": (data, "class weights w_c", lambda patch: patch.setattr(
        unetprep.kernels.weights, "balanced_class_weights", lambda counts: (1.0, 1.0))),
    "no separation": (data, "target between touching cells", lambda patch: patch.setattr(
        "unettrain.paper_check.data_lines.separate_instances", lambda labels: (labels > 0).astype(np.uint8))),
    "symmetric mirror": (data, "missing context", lambda patch: patch.setattr(
        "unetprep.kernels.mirror.mirror_index",
        lambda start, stop, n: np.pad(np.arange(n), 50, mode="symmetric")[start + 50 : stop + 50])),
    "own range": (data, "intensities", lambda patch: patch.setattr(
        "unettrain.data.intensity.intensity_limits", lambda *_: (10.0, 200.0))),
    "other sigma": (partial(data_lines, 5.0, (3, 3)), "deformation grid", lambda patch: None),
    "other grid": (partial(data_lines, 10.0, (4, 4)), "deformation grid", lambda patch: None),
    "linear field": (data, "displacement of a pixel", lambda patch: patch.setattr(
        "unetprep.kernels.spline.expansion_matrix",
        lambda n, length, *_: np.stack([np.interp(np.linspace(0, n - 1, length), range(n), e) for e in np.eye(n)], 1))),
    "labels stay": (data, "deformed tile", lambda patch: patch.setattr(
        "unettrain.paper_check.data_lines.warp_tile", lambda image, labels, weights, *_: (image, labels + 1, weights))),
    "no gray values": (data, "gray values", lambda patch: patch.setattr("unettrain.augment.draw.GRAY_SPREAD", 0.0)),
    "not turned back": (prediction_lines, "averaging of 4 predictions", lambda patch: patch.setattr(
        "unettrain.prediction.turns.Flip.back", lambda self, planes, w, sides: planes.read(
            w.z, w.rows, w.columns))),
    "six rotations": (prediction_lines, "averaging of 7 predictions", lambda patch: patch.setattr(
        "unettrain.paper_check.prediction_lines.turns_of", lambda num: turns_of(num)[:-1])),
    "tile by tile": (prediction_lines, "tiled prediction", of_tile_mean),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_line_fails_once_its_code_is_broken(case: str, monkeypatch: Patch) -> None:
    group, name, break_it = BROKEN[case]
    break_it(monkeypatch)
    found = {line.name: line for line in group()}
    assert found[name].status == FAIL, found[name].as_text()


def test_an_error_of_the_network_is_not_taken_for_a_line(monkeypatch: Patch) -> None:
    def refuse(*_: object) -> None:
        raise InvalidInput("no")

    monkeypatch.setattr(UNet, "_check", refuse)
    with pytest.raises(InvalidInput, match="no"):
        list(shape_lines())
