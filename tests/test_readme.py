"""The Python of README.md, run on small generated data."""

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from tests.synthetic import cell_image, cell_labels
from unettrain.augment.draw import Draw
from unettrain.data.opening import NO_FIELDS

README = Path(__file__).parents[1] / "README.md"
SMALLER = {"steps=2000": "steps=1, base_channels=1, threads=1", "num_steps=100": "num_steps=1"}


@pytest.fixture
def blocks() -> list[ast.Module]:
    """The blocks of "Use it from Python", with fewer and smaller steps."""
    text = README.read_text()
    section = text[text.index("## Use it from Python") :].partition("\n## ")[0]
    for long, short in SMALLER.items():
        assert section.count(long) == 1
        section = section.replace(long, short)
    return [ast.parse(code) for code in re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)]


def batch() -> dict[str, Any]:
    """What `augment_batch` takes."""
    labels = torch.zeros((1, 20, 20), dtype=torch.uint8)
    tensors = {"image": torch.rand((1, 1, 60, 60)), "labels": labels, "weights": torch.ones((1, 20, 20))}
    return {"draws": [Draw(turn=3)], "fields": NO_FIELDS} | tensors


def test_the_python_of_the_readme_runs(
    blocks: list[ast.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labels = [cell_labels((120, 100), 20, seed) for seed in range(5)]
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for k, cells in enumerate(labels):
        tifffile.imwrite(tmp_path / f"images/{k}.tif", cell_image(cells))
        tifffile.imwrite(tmp_path / f"masks/{k}.tif", cells)
    tifffile.imwrite(tmp_path / "new-image.tif", cell_image(labels[0]))
    tifffile.imwrite(tmp_path / "new-labels.tif", labels[0])
    names: dict[str, Any] = {"labels": labels[0], "volume": np.stack(labels[:3]), "grid": np.ones((2, 3, 3))}
    assert len(blocks) == 2
    for statement in [s for block in blocks for s in block.body]:
        names |= batch() if "augment_batch" in ast.unparse(statement) else {}
        exec(compile(ast.Module([statement], []), str(README), "exec"), names)
    assert tifffile.imread("cells.tif").shape[-2:] == labels[0].shape
    assert 0 <= names["scores"].scores.mean_ap <= 1
    assert names["field"].shape == (2, 572, 572)
    assert sum(p.numel() for p in names["network"].parameters()) == 31_030_658
    assert names["image"].shape == (1, 1, 60, 60)
