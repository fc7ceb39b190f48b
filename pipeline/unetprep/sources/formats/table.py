"""Table of the image formats: their endings, the module that reads each, and its library.

A module of `unetprep.sources.formats` has a function `open_file(path, choice, decode)`, which returns a `Source` with
the axes of the file, or raises one of `unetprep.sources.source.DAMAGED`. It is imported with the first file of its
format. A path may name an image inside of a file, as FILE:/NAME, if the format `has_names`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Protocol, cast

from unetprep.errors import InvalidInput
from unetprep.sources.source import Choice, Decode, Source

INNER = ":/"  # between the name of a file and that of an image inside of it
EXTRA = "pip install 'unetprep[formats]'"


class Reader(Protocol):
    """A module that reads a format."""

    def open_file(self, path: str, choice: Choice, decode: Decode | None) -> Source:
        """The chosen image at a path or URL. `decode` may take the pixels of a small local file."""
        ...


@dataclass(frozen=True)
class Format:
    """An image format: its `name`, the `endings` of its files, our `module` that reads it, and the package (`library`).

    `is_extra` says that the package is one of the extra `formats`, `is_folder` that files of the format are folders,
    `has_names` that a file holds arrays by name, `has_several` that it may hold levels or series.
    """

    name: str
    endings: tuple[str, ...]
    module: str
    library: str
    is_extra: bool = False
    is_folder: bool = False
    has_names: bool = False
    has_several: bool = False

    @property
    def version(self) -> str:
        """The version of its package; "" if that is not installed."""
        try:
            return metadata.version(self.library)
        except metadata.PackageNotFoundError:
            return ""

    def reader(self, path: str) -> Reader:
        """The module that reads it. Raises InvalidInput for the file at `path` if its package is not installed."""
        try:
            return cast(Reader, import_module(f"unetprep.sources.formats.{self.module}"))
        except ModuleNotFoundError as error:
            raise InvalidInput(
                f"{path} is a file of format {self.name}, and the package {self.library} that reads it is not installed"
                f" ({error})",
                hint=f"run: {EXTRA}",
            ) from None


ZARR = Format("Zarr, OME-Zarr", (".zarr",), "zarr_files", "zarr", is_folder=True, has_several=True)
N5 = Format("N5", (".n5",), "n5", "numcodecs", is_folder=True, has_names=True, has_several=True)
FORMATS = (
    Format("TIFF, OME-TIFF, ImageJ, LSM", (".tif", ".tiff", ".lsm"), "tiff", "tifffile", has_several=True),
    Format("PNG, JPEG, BMP, GIF", (".png", ".jpg", ".jpeg", ".bmp", ".gif"), "pictures", "pillow"),
    Format(".npy", (".npy",), "npy", "numpy"),
    Format(".npz", (".npz",), "npz", "numpy", has_names=True),
    ZARR,
    Format("Zarr in a zip file", (".zarr.zip",), "zarr_files", "zarr", has_names=True, has_several=True),
    N5,
    Format("HDF5", (".h5", ".hdf5", ".hdf"), "hdf5", "h5py", is_extra=True, has_names=True),
    Format("NIfTI", (".nii", ".nii.gz"), "nifti", "nibabel", is_extra=True),
    Format("MRC", (".mrc", ".rec", ".map"), "mrc", "mrcfile", is_extra=True),
    Format("Zeiss CZI", (".czi",), "czi", "pylibCZIrw", is_extra=True, has_several=True),
    Format("Nikon ND2", (".nd2",), "nd2_files", "nd2", is_extra=True, has_several=True),
    Format("Leica LIF", (".lif",), "lif", "liffile", is_extra=True, has_several=True),
)
NAMES = ", ".join(known.name for known in FORMATS) + " (see: unetprep formats)"
ENDINGS = tuple(ending for known in FORMATS for ending in known.endings)
FILE_ENDINGS = tuple(ending for known in FORMATS if not known.is_folder for ending in known.endings)


def formats() -> Sequence[Format]:
    """The image formats that unetprep reads; `version` is empty for those whose package is not installed.

    for known in unetprep.formats():
        print(known.name, known.endings, known.version or "not installed")
    """
    return FORMATS


def ending_of(path: str) -> str:
    """The ending of a file name, in lower case: the longest known one, such as .zarr.zip; else its last part, or ""."""
    name = path.rstrip("/").rpartition("/")[2].lower()
    known = max((ending for ending in ENDINGS if name.endswith(ending)), key=len, default="")
    return known or (name[name.rindex(".") :] if "." in name[1:] else "")


def format_of(path: str) -> Format | None:
    """The format of a file by its ending; None for an unknown one."""
    ending = ending_of(path)
    return next((known for known in FORMATS if ending in known.endings), None)


def split_name(path: str) -> tuple[str, str]:
    """(FILE, NAME) of FILE:/NAME, for formats that have names; otherwise NAME is ""."""
    file, found, name = path.rpartition(INNER)
    known = format_of(file) if found else None
    return (file, name.strip("/")) if known and known.has_names else (path, "")
