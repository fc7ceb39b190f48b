"""Small label images, and their evaluation through files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tests.synthetic import cell_labels
from unetprep.errors import ReportedError
from unettrain.evaluation.files import evaluate_files
from unettrain.evaluation.params import EvaluateParams

LABELS = cell_labels((90, 110), 20)  # 20 cells, some of which touch
MASK = (LABELS > 0).astype(np.uint8)
NUM_CELLS = len(np.unique(LABELS)) - 1
CELL = ndimage.gaussian_filter(MASK.astype(np.float64), 1.5)  # like the probabilities of a network


def evaluate(folder: Path, proposed: NDArray[Any], labels: NDArray[Any] = LABELS, /, **options: Any) -> dict[str, Any]:
    np.save(folder / "prediction.npy", proposed)
    np.save(folder / "labels.npy", labels)
    return evaluate_files(folder / "prediction.npy", folder / "labels.npy", EvaluateParams(**options)).as_dict()


def refused(folder: Path, message: str, /, *arrays: NDArray[Any], **options: Any) -> None:
    with pytest.raises(ReportedError, match=message):
        evaluate(folder, *arrays, **options)
