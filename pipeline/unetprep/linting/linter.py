"""Label checks over files, folders or the labels of a store. Each image is read once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.format.layout import labels_path
from unetprep.format.metadata import DamagedDocument
from unetprep.format.places import ImagePlace
from unetprep.kernels.weight_formula import IGNORED
from unetprep.linting.rules import Finding, judge
from unetprep.params import LINT_RULES, LintParams, num_neighbours
from unetprep.sources import Source, expand, open_labels, open_source
from unetprep.sources.arrays import Inputs, as_inputs
from unetprep.sources.formats.table import format_of
from unetprep.sources.label_scan import num_blocks, survey
from unetprep.sources.label_values import Labels
from unetprep.sources.labels import one_channel
from unetprep.sources.source import Choice
from unetprep.sources.urls import is_url
from unetprep.store import Store

IMPORT = "unetprep import --labels LABELS --out STORE"


@dataclass(frozen=True)
class Linted:
    """One label image, from `path`: its `shape`, (z, y, x) or (y, x), `dtype`, number of `cells`, and `findings`."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    cells: int
    findings: Sequence[Finding]


def lint(
    labels: Inputs,
    params: LintParams | None = None,
    ignored: Sequence[str] = (),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    name: str = "labels",
) -> list[Linted]:
    """Check label images against every rule but those `ignored`; nothing is changed.

    `labels` are files, folders, stores or arrays, `name` that of a single array. Raises InvalidInput for labels that
    cannot be read.

        for image in unetprep.lint("masks/"):
            print(image.path, [finding.message for finding in image.findings])
    """
    ignored = tuple(ignored)
    if unknown := [rule for rule in ignored if rule not in LINT_RULES]:
        raise InvalidInput(f"ignored is {unknown[0]!r}", allowed=", ".join(LINT_RULES))
    params, inputs = params or LintParams(), as_inputs(labels, name, Choice.of_labels(params or LintParams()))
    todo = [(one_channel(source, params.label_channel), params) for source in inputs if isinstance(source, Source)]
    todo += [image for path in expand([p for p in inputs if isinstance(p, str)]) for image in _images(path, params)]
    total, done = sum(num_blocks(source, how.dims) for source, how in todo), 0

    def advance() -> None:
        nonlocal done
        done += 1
        on_progress(done, total)

    return [_lint_image(source, how, ignored, advance) for source, how in todo]


def _images(path: str, params: LintParams) -> list[tuple[Source, LintParams]]:
    """The label images of a path, and the parameters of each; a store determines dims and ignored label of its own."""
    store = _store(path)
    if store is None:
        return [(one_channel(open_source(path, Choice.of_labels(params)), params.label_channel), params)]
    images = []
    for place in store.places.values():
        path = labels_path(place.group, "instances")
        if place.first == 0:
            store.finished_array(path, IMPORT)
        source: Source = (
            open_labels(f"{store.url}/{path}") if place.index is None else slice_of_stack(store, path, place)
        )
        images.append((source, replace(params, dims=store.dims(place.group), ignore_label=IGNORED)))
    return images


@dataclass(frozen=True)
class StackSlice(Source):
    """The labels of one image of a stack."""

    store: Store
    array: str
    place: ImagePlace

    def _read_file(self, box: Box) -> NDArray[Any]:
        return self.store.read(self.array, self.place.box(box))


def slice_of_stack(store: Store, path: str, place: ImagePlace) -> StackSlice:
    """The labels of one image of a stack, as a source."""
    shape = place.shape(store.shards(path).shape)
    return StackSlice(f"{store.url}/{path}[{place.index}] ({place.name})", "zyx", shape, "int32", store, path, place)


def _store(path: str) -> Store | None:
    known = format_of(path) if is_url(path) else None
    if known and not known.is_folder:  # a file of a web server, which cannot be listed
        return None
    try:
        return Store.open(path) if "://" in path or (Path(path) / "zarr.json").exists() else None
    except DamagedDocument:
        raise
    except InvalidInput:
        return None


def _lint_image(source: Source, params: LintParams, ignored: Sequence[str], on_block: Callable[[], None]) -> Linted:
    connectivity = num_neighbours(params.dims, params.connectivity, corners=True)
    labels = Labels(survey(source, params.dims, connectivity, params.ignore_label, on_block), params.dims, source.dtype)
    shape = source.shape[2:] if source.shape[1] == 1 else source.shape[1:]
    return Linted(source.path, shape, source.dtype, labels.num_cells, judge(labels, params.least_px(), ignored))
