"""Scalars of a training for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unettrain.errors import InvalidInput

FOLDER = "tensorboard"  # in a run directory


class TensorBoardLog:
    """Event files of a run. Values after `step`, which an interrupted process wrote, are not shown any more."""

    def __init__(self, run_dir: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InvalidInput(
                f"tensorboard is not installed: {error}", hint="pip install 'unetprep[tensorboard]'"
            ) from None
        self._writer: Any = SummaryWriter(str(run_dir / FOLDER), purge_step=step + 1)

    def write(self, record: Mapping[str, float]) -> None:
        """Add the values of a line of the log."""
        for name, value in record.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(record["step"]))
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
