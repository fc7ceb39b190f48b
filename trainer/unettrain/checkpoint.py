"""Checkpoints: a network with its configuration and the state needed to continue its training, in one file.

Files are replaced atomically. They are read with torch's `weights_only`, which runs no code from a file, after the
checksums of the zip archive have been verified, which torch does not do.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from errno import EINVAL
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO, NoReturn
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo, is_zipfile

import torch

from unetprep.storage.atomic import naming, replacing
from unettrain.config import UNetConfig
from unettrain.decoding.params import DecodingParams
from unettrain.errors import InvalidInput
from unettrain.model import UNet
from unettrain.schema import check_document

FORMAT = "unettrain checkpoint"
FORMAT_VERSION = 1
DAMAGED_ARCHIVE = (BadZipFile, RuntimeError, ValueError, EOFError, LookupError, OverflowError, struct.error, zlib.error)
FOREIGN_CONTENT = (
    UnpicklingError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, EOFError, AssertionError,
    ImportError, OverflowError, struct.error,
)  # fmt: skip


class DamagedCheckpoint(InvalidInput):
    """A file whose content is not that of a checkpoint, or no longer; another release would not read it either."""


@dataclass(frozen=True)
class Checkpoint:
    """A network after `step` updates, the side of its training tiles, and the optimizer's state to continue."""

    network: UNetConfig
    weights: dict[str, Any]
    tile_px: int
    step: int
    seed: int
    best_loss: float | None = None
    pending_loss: float | None = None  # of the last update, until it is validated and logged
    optimizer: dict[str, Any] = field(default_factory=dict)
    intensity_rule: str = "auto"  # for the range of a new image
    run: str = ""  # fingerprint of the run's configuration and data; "" in early files
    best_iou: float | None = None  # on the validation split, of the network of `best_loss`
    val_iou: float | None = None  # of the last validation
    constant: bool | None = None  # whether all pixels had the same output at the last validation; None: not known
    image_dtype: str = ""  # of the stored training images; "" in early files
    training_intensity: dict[str, Any] = field(
        default_factory=dict
    )  # as unettrain.data.intensity.TrainingImages writes it
    best_ap: float | None = None  # as best_iou, of the instances
    val_ap: float | None = None
    num_worse: int = 0  # validations since the best network
    ema: dict[str, Any] = field(default_factory=dict)  # averaged weights; {} without them
    scaler: dict[str, Any] = field(default_factory=dict)  # of the loss, with fp16
    decoding: dict[str, Any] = field(default_factory=dict)  # DecodingParams chosen on the validation split

    @property
    def decoding_params(self) -> DecodingParams:
        """How instances are decoded: as was best on the validation split, by default where nothing was chosen."""
        return DecodingParams(**self.decoding)

    def build(self) -> UNet:
        """The network, with its averaged weights if there are any, on the CPU and in evaluation mode."""
        model = UNet(self.network)
        model.load_state_dict(self.ema or self.weights)
        return model.eval()


class _Recorded:
    """A file that keeps the OSError of a failed write; torch raises a RuntimeError instead, which does not name it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint. An existing file is replaced once the new one is on disk, and kept if that fails."""
    content = {f.name: getattr(checkpoint, f.name) for f in fields(checkpoint)}
    content |= {"format": FORMAT, "format_version": FORMAT_VERSION, "network": asdict(checkpoint.network)}
    with replacing(path) as file:
        recorded: Any = _Recorded(file)
        try:
            torch.save(content, recorded)
        except RuntimeError:
            if recorded.error is None:
                raise
            raise recorded.error from None


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint onto the CPU, and verify it.

    Raises DamagedCheckpoint for a file that is not a checkpoint, is damaged, or whose weights are not finite;
    InvalidInput for a missing one, and for one of another format version or with fields of a later release.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInput(f"there is no checkpoint at {path}", allowed="a file such as RUN/best.pt or RUN/last.pt")
    with naming(path):
        _verify_archive(path)
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except UnpicklingError:  # torch's message suggests loading the file in a way that runs its code
            raise DamagedCheckpoint(
                f"{path} is no checkpoint of unettrain: it holds objects other than plain data, and was not loaded",
                allowed="best.pt or last.pt of a run",
            ) from None
        except FOREIGN_CONTENT as error:
            _refuse(path, f"is no checkpoint of unettrain, or damaged: it cannot be read ({type(error).__name__})")
    checkpoint = _validated(path, content)
    for weights in (checkpoint.weights, checkpoint.ema):
        if weights or weights is checkpoint.weights:
            _check_weights(path, checkpoint.network, weights)
    return checkpoint


def _verify_archive(path: Path) -> None:
    """Raise InvalidInput for a file that is not an archive of torch, or whose checksums do not match."""
    try:
        if not is_zipfile(path):
            _refuse(path, "is no checkpoint: not a file that torch wrote, or cut short")
        with ZipFile(path) as archive:
            entries = archive.infolist()
            if not _is_plain(entries, path.stat().st_size):
                _refuse(path, "is no checkpoint: an archive of another kind than torch writes, or damaged")
            damaged = archive.testzip()
    except DAMAGED_ARCHIVE as error:
        _refuse(path, f"is no checkpoint, or damaged: {error}")
    except OSError as error:
        if error.errno != EINVAL:  # a seek before the start of the file
            raise
        _refuse(path, "is no checkpoint, or damaged: its directory points outside of it")
    if damaged:
        _refuse(path, f"is damaged: the checksum of {damaged} does not match")


def _is_plain(entries: Sequence[ZipInfo], size: int) -> bool:
    """Whether the entries of an archive of `size` bytes are stored as torch stores them: uncompressed, no directories.

    For an entry with the attribute of a directory torch returns uninitialised memory.
    """
    plain = (e.compress_type == ZIP_STORED and e.external_attr == e.internal_attr == 0 for e in entries)
    return all(plain) and sum(entry.file_size for entry in entries) <= size


def _refuse(path: Path, problem: str) -> NoReturn:
    hints = {
        "last.pt": "restore it from a backup, or start the run again with fit --overwrite; predict can still use"
        " best.pt beside it",
        "best.pt": "restore it from a backup, or predict with last.pt of the same run",
    }
    raise DamagedCheckpoint(f"{path} {problem}", hint=hints.get(path.name, "restore the file from a backup"))


def _validated(path: Path, content: object) -> Checkpoint:
    """The checkpoint in the content of a file, whose fields must be complete and of the right types."""
    is_ours = isinstance(content, dict) and isinstance(content.get("format"), str) and content["format"] == FORMAT
    if not isinstance(content, dict) or not is_ours:
        raise DamagedCheckpoint(f"{path} is no checkpoint of unettrain", allowed="best.pt or last.pt of a run")
    version = content.get("format_version")
    if not isinstance(version, int) or version != FORMAT_VERSION:
        raise InvalidInput(f"{path} is a checkpoint of format version {version}", allowed=str(FORMAT_VERSION))
    values = {name: value for name, value in content.items() if name not in ("format", "format_version")}
    if "network" in values:
        document = check_document(values["network"], UNetConfig, f"the network of {path}")
        try:
            values["network"] = UNetConfig(**document)
        except InvalidInput as error:
            raise DamagedCheckpoint(f"the network of {path} cannot be built: {error}") from None
    try:
        checkpoint = Checkpoint(**check_document(values, Checkpoint, str(path)))
        DecodingParams(**check_document(checkpoint.decoding, DecodingParams, f"the decoding of {path}"))
    except InvalidInput as error:
        if values.keys() - {f.name for f in fields(Checkpoint)}:  # of a later release
            raise
        raise DamagedCheckpoint(error.problem, allowed=error.allowed, hint=error.hint) from None
    return checkpoint


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether all values are finite. Minimum and maximum show it without extra memory."""
    return tensor.numel() == 0 or all(bool(extreme.isfinite()) for extreme in tensor.aminmax())


def num_tensors(network: UNetConfig) -> int:
    """Number of tensors in the state of a network, which is checked before one is built to compare shapes."""
    convolution = {"none": 2, "instance": 3, "batch": 6}[network.normalization]  # weight; bias, or those of the norm
    return network.depth * (4 * convolution + 2) + 2 * convolution + 2


def dtype_name(tensor: torch.Tensor) -> str:
    """The dtype of a tensor as numpy names it, such as float32."""
    return str(tensor.dtype).removeprefix("torch.")


def _check_weights(path: Path, network: UNetConfig, weights: dict[str, Any]) -> None:
    """Raise DamagedCheckpoint for weights that do not fit the network or are not finite."""
    expected = UNet(network, seed=None).state_dict() if len(weights) == num_tensors(network) else {}
    if not expected or weights.keys() != expected.keys():
        norm = f" and {network.normalization} normalisation" if network.normalization != "none" else ""
        raise DamagedCheckpoint(f"{path} does not hold the weights of its network, of depth {network.depth}{norm}")
    for name, tensor in weights.items():
        if (
            not isinstance(tensor, torch.Tensor)
            or tensor.shape != expected[name].shape
            or tensor.dtype != expected[name].dtype
        ):
            raise DamagedCheckpoint(
                f"{path} does not hold the weights of its network: {name}",
                allowed=f"{dtype_name(expected[name])} of shape {tuple(expected[name].shape)}",
            )
        if not is_finite(tensor):
            raise DamagedCheckpoint(
                f"{path} holds weights that are not finite ({name}): its training diverged",
                hint="train again with a lower learning-rate, a longer warmup-steps or a clip-norm",
            )
