import json
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import SMALL, Run
from unettrain.config import UNetConfig
from unettrain.model import UNet


def test_a_run_is_exported_and_its_warnings_are_said(run: Run, store: Path) -> None:
    run(f"unettrain fit ds.zarr --run run {SMALL}")
    said = run("unettrain export run --format torch --out cells.pt2")
    assert said.stdout == "export: torch, sides 44 + k * 4\n-> cells.pt2\n"
    image = torch.rand(1, 1, 60, 60)
    assert torch.export.load("cells.pt2").module()(image).shape == (1, 2, 20, 20)
    run("unettrain export run --format torch --out cells.pt2", code=4)
    done = json.loads(
        run("unettrain export run --format torch --padding same --out cells.pt2 --overwrite --json").stdout
    )
    assert (done["format"], done["description"]["halo"], done["warnings"]) == ("torch", 24, [])
    run("unettrain export run --format onnx --out cells.pt2", code=3)


def test_foreign_weights_become_a_checkpoint(run: Run, tmp_path: Path) -> None:
    torch.save(UNet(UNetConfig(base_channels=2, depth=1)).state_dict(), tmp_path / "other.pth")
    line = "unettrain import-weights other.pth --out ours.pt --padding valid"
    said = run(f"{line} --concatenation up-first").stdout.splitlines()
    assert said[0].startswith("import-weights: depth 1, 2 base channels, 2 classes, padding valid, normalization none")
    assert said[1] == "  down.0.0 -> down.0.0"
    assert said[-1] == "-> ours.pt"
    done = json.loads(run(f"{line} --concatenation up-first --overwrite --json").stdout)
    assert done["layers"][-1] == ["head", "head"]
    run(line, code=2)


@pytest.mark.parametrize("option", ["--cite somewhere", "--name ab", "--intensity 5,5", "--author a/b"])
def test_texts_are_checked(run: Run, option: str) -> None:
    assert "allowed:" in run(f"unettrain export run --out a.onnx {option}", code=3).stderr
