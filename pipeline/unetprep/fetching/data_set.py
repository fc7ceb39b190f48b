"""A data set as its manifest describes it: source, terms, archives, files, digests, and how it is imported."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

MAX_BYTES = 2**36  # of one file of a data set
DEFAULT_MAX_BYTES = 2**28  # of a file whose size the manifest does not state
PATH_OPTIONS = ("image", "labels", "data")  # of `unetprep import`: paths below the folder of the data set


class Expected(Protocol):
    """What is known of a file."""

    @property
    def path(self) -> str:
        """Its path below the output folder."""

    @property
    def url(self) -> str:
        """Where it is downloaded from; "" if it comes from a wheel, an archive, or only from the user."""

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the file; None if it is unknown."""

    @property
    def pixels(self) -> str | None:
        """Digest of the decoded pixels (`digests.pixel_digest`); None if it is unknown."""

    @property
    def num_bytes(self) -> int | None:
        """Exact size; None if it is unknown."""

    @property
    def max_bytes(self) -> int:
        """Size up to which it is read."""


@dataclass(frozen=True)
class DataFile:
    """A file of a data set. `member` is its name in the wheel, or in one of the archives, where it comes from there."""

    path: str
    member: str = ""
    url: str = ""
    sha256: str | None = None
    pixels: str | None = None
    num_bytes: int | None = None

    @property
    def max_bytes(self) -> int:
        """The exact size, or else the default."""
        return DEFAULT_MAX_BYTES if self.num_bytes is None else self.num_bytes


@dataclass(frozen=True)
class Archive:
    """A zip archive, which is kept in the output folder.

    `unpack` is the folder below the output folder that takes all of its files, "." for the output folder itself; with
    "" only the files that the manifest lists are taken from it.
    """

    path: str
    url: str = ""
    sha256: str | None = None
    num_bytes: int | None = None
    unpack: str = ""

    pixels: None = None

    @property
    def max_bytes(self) -> int:
        """The exact size, or else the largest."""
        return MAX_BYTES if self.num_bytes is None else self.num_bytes


@dataclass(frozen=True)
class Wheel:
    """A wheel of a package index. Every field matches its pattern."""

    package: str
    version: str
    platform: str
    python: str


@dataclass(frozen=True)
class Manifest:
    """A data set. A text is "" where the manifest does not say it.

    `kind` is "wheel" (from the package index: `wheel`), "http" (downloaded from the URLs of `files` or `archives`) or
    "local" (files that the user has; `obtain` says from where). `license` is the `terms` in a word or two; `cite`: what
    to cite; `home`: the page of the providers. `images` and `cells` are their numbers, `approximate_bytes` the size
    where it is not known exactly. `labels` says how labels are to be read, `pixel_size` and `split` what the providers
    state, `digest_origin` who computed the digests. `import_options` are the options of `unetprep import` that read it,
    `name` is that of `unetprep fetch`, `title` a line on the data.
    """

    name: str
    title: str
    terms: str
    kind: str
    files: tuple[DataFile, ...] = ()
    archives: tuple[Archive, ...] = ()
    wheel: Wheel | None = None
    license: str = ""
    cite: str = ""
    home: str = ""
    images: int | None = None
    cells: str = ""
    pixel_size: str = ""
    labels: str = ""
    split: str = ""
    obtain: str = ""
    digest_origin: str = ""
    approximate_bytes: int | None = None
    import_options: dict[str, str] = field(default_factory=dict)

    @property
    def num_bytes(self) -> int | None:
        """Size of what is fetched: exact if all sizes are known, else as the manifest estimates it."""
        whole: Iterable[Archive | DataFile] = self.archives or self.files
        sizes = [each.num_bytes for each in whole]
        known = [size for size in sizes if size is not None]
        return sum(known) if known and len(known) == len(sizes) else self.approximate_bytes

    @property
    def contents(self) -> tuple[Archive | DataFile, ...]:
        """The archives and the files."""
        return (*self.archives, *self.files)

    def import_command(self, folder: Path) -> str:
        """The command that imports the data set from a folder, for a POSIX shell; "" if the manifest names none."""
        if not self.import_options:
            return ""
        words = ["unetprep", "import"]
        for option, value in self.import_options.items():
            path = str(folder) if value == "." else str(folder / value)
            words += [f"--{option}", path if option in PATH_OPTIONS else value]
        return shlex.join([*words, "--out", f"{self.name}.zarr"])
