"""The files that a prediction writes: --out, and what is asked for beside it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from unetprep.errors import InvalidInput
from unetprep.sources.urls import is_url
from unetprep.storage.output import Output, check_output, local_output
from unettrain.prediction.label_zarr import check_beside_image, is_beside_image
from unettrain.prediction.layout import num_instances_in
from unettrain.prediction.outputs import LABELS, LABELS_BESIDE, PICTURE, PREDICTION, fingerprint_of, mark_in
from unettrain.prediction.table_output import TABLE, fingerprint_in_table

ENDINGS = {"probabilities": ".probabilities.tif", "overlay": ".overlay.png", "table": ".csv"}
KINDS = {"probabilities": PREDICTION, "overlay": PICTURE, "table": TABLE}


@dataclass(frozen=True)
class Targets:
    """Checked destinations: the main output, and those beside it by what they hold (names of `params.ALSO`).

    The main output is written last, so that it exists only if all do. It may exist already: whether it may be replaced
    depends on its content. Those beside it are replaced if a prediction wrote them.
    """

    main: Output
    beside: dict[str, Output]
    has_labels: bool
    is_in_image: bool = False

    @property
    def all(self) -> tuple[Output, ...]:
        """The main output and those beside it."""
        return self.main, *self.beside.values()

    def are_of(self, fingerprint: str) -> bool:
        """Whether all of the files exist and belong to the prediction with a fingerprint."""
        return all(output.path.exists() and self._is_of(output, fingerprint) for output in self.all)

    def _is_of(self, output: Output, fingerprint: str) -> bool:
        if output.kind is not TABLE:
            return fingerprint_of(output.path) == fingerprint
        found = fingerprint_in_table(output.path)
        return num_instances_in(mark_in(self.main.path)) == 0 if found is None else found == fingerprint


def refuse_collisions(all_targets: Sequence[Targets], inputs: Sequence[str]) -> None:
    """Raise InvalidInput if two images would write one file, or one of them a file that is an input of another.

    The files beside labels may have the names of the labels of another image: NAME.probabilities.tif.
    """
    taken = {os.path.realpath(path): f"the input {path}" for path in inputs if not is_url(path)}
    for output in (output for targets in all_targets for output in targets.all):
        key = os.path.realpath(output.path)
        if key in taken:
            raise InvalidInput(
                f"{output.path} would be written, and is {taken[key]} too",
                allowed="images and outputs of different names",
                hint="name another --out, or predict these images in two commands",
            )
        taken[key] = "an output of another image"


def check_name(out: str) -> None:
    """Raise InvalidInput for a name that ends in no format of predictions, before a checkpoint is read."""
    path = local_output(out)
    if path.suffix.lower() not in LABELS.endings and not is_beside_image(path):
        raise InvalidInput(f"--out is {out}", allowed=f"a name that ends in {', '.join(LABELS.endings)}")


def check_targets(
    out: str, inputs: Sequence[str], *, also: Sequence[str], has_labels: bool, overwrite: bool
) -> Targets:
    """Check the destinations of a prediction. Nothing is written.

    Raises InvalidInput and Conflict as `check_output` does, except for an earlier prediction at `out` itself; and
    InvalidInput for files beside it without instances, or beside labels inside of an image.
    """
    if also and not has_labels:
        raise InvalidInput(
            f"also is {','.join(also)!r} with instances none", allowed="instances watershed or components"
        )
    path = local_output(out)
    is_in_image = has_labels and is_beside_image(path)
    if is_in_image:
        if also:
            raise InvalidInput(f"also is {','.join(also)!r} for {out}, inside of an image", hint="--out NAME.zarr")
        check_beside_image(path)
        return Targets(Output(path, LABELS_BESIDE, overwrite), {}, True, True)
    main = check_output(out, LABELS if has_labels else PREDICTION, overwrite=True, inputs=inputs)
    base = path.name.removesuffix(path.suffix)
    beside = {
        what: check_output(path.with_name(base + ENDINGS[what]), KINDS[what], overwrite=True, inputs=inputs)
        for what in also
    }
    return Targets(replace(main, overwrite=overwrite), beside, has_labels)
