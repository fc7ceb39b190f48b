"""Report section 10, provenance: parameters, software, and the commands that reproduce the run."""

import platform
import shlex
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import version
from typing import Any

from unetprep.format.layout import CUT, GRIDS, PLACED, TILES, labels_path, weights_path
from unettrain import __version__
from unettrain.config import FitConfig
from unettrain.reporting.inputs import Run, images_of
from unettrain.reporting.page import Html, code, element, join, paragraph, section, table, text

PACKAGES = ("torch", "numpy", "zarr", "numba", "scikit-image")
FLAGS = ("axes", "images", "dtype", "shape", "indices", "dims", "num_classes")  # recorded, but not options of the stage


def making_section(run: Run) -> Html:
    """Configuration, parameters of the stages, versions and commands."""
    stages = dict(stage_parameters(run))
    return section(
        "making",
        "How it was made",
        paragraph(
            "With the same store, configuration, software and number of threads, a training on the CPU gives the same"
            " network again."
        ),
        code(list(commands(run, stages))),
        element("h3", text("Training")),
        table(["setting", "value", "meaning"], _fit_rows(run), "wide"),
        element("h3", text("Store")),
        table(["stage", "parameter", "value"], _stage_rows(stages)),
        element("h3", text("Software")),
        table(["what", "version"], _software_rows(run)),
    )


def stage_parameters(run: Run) -> Iterator[tuple[str, dict[str, Any]]]:
    """The parameters that the store records of each stage; of one image for those recorded per image."""
    image = (*images_of(run, "train"), *run.images)[0]
    about, group = run.images[image], run.place(image).group
    yield "import", {k: about[k] for k in ("dims", "intensity_rule", "source") if k in about}
    sources = {"weights": (weights_path(group), labels_path(group, "target")),
               "deform": (GRIDS,), "tiles": (PLACED, CUT)}  # fmt: skip
    for stage, paths in sources.items():
        found = [run.recorded(path).get("parameters", {}) for path in paths]
        kept = {k: v for parameters in found for k, v in parameters.items() if k not in FLAGS}
        if kept:
            yield stage, kept


def commands(run: Run, stages: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The commands that reproduce store and run, as far as their parameters are recorded."""
    store, files = run.store, shlex.quote(str(run.files.path))
    yield "# as recorded; the paths of the images and the fractions held out are not recorded"
    sources = {tuple(record.get("source", ())) for record in run.images.values()}
    only = next(iter(sources)) if len(sources) == 1 else ()
    image, labels = only if len(only) == 2 else ("IMAGES", "LABELS")
    how = {"dims": stages["import"].get("dims", 2), "intensity": stages["import"].get("intensity_rule", "auto")}
    options = [part for k, v in how.items() if v not in (2, "auto") for part in option(k, v)]
    num_classes = run.recorded(TILES).get("num_classes", 2)
    options += option("num_classes", num_classes) if num_classes > 2 else []
    yield shlex.join(["unetprep", "import", "--image", image, "--labels", labels, "--out", store, *options])
    for stage in ("weights", "deform", "tiles"):
        if stage in stages:
            options = [part for k, v in stages[stage].items() for part in option(k.removesuffix("_px"), v)]
            yield shlex.join(["unetprep", stage, "--out", store, *options])
    defaults = {f.name: f.default for f in fields(FitConfig)} | {"num_classes": num_classes}
    changed = {k: v for k, v in run.record["fit"].items() if v != defaults.get(k)}
    options = [part for k, v in changed.items() for part in option(k, v)]
    yield f"unettrain fit {shlex.quote(store)} --run {files} {shlex.join(options)}".rstrip()
    yield f"unettrain report {files}"


def option(name: str, value: Any) -> list[str]:
    """A parameter as command-line words."""
    name = name.replace("_", "-")
    if value is None:
        return []
    if isinstance(value, dict):  # values that follow from a flag
        return [f"--{name}"]
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", as_words(value)]


def as_words(value: Any) -> str:
    """A value as text for a command line."""
    if isinstance(value, bool | dict):
        return "yes" if value else "no"
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _fit_rows(run: Run) -> Iterator[list[Html]]:
    help_of = {f.name: f.metadata["help"].split("  [default")[0] for f in fields(FitConfig)}
    for name, value in run.record["fit"].items():
        shown = "default" if value is None else as_words(value)
        yield [text(name.replace("_", "-")), text(shown), text(help_of.get(name, ""))]


def _stage_rows(stages: dict[str, dict[str, Any]]) -> Iterator[list[Html]]:
    for stage, parameters in stages.items():
        for name, value in parameters.items():
            yield [text(stage), text(name), text(as_words(value))]


def _software_rows(run: Run) -> Iterator[list[Html]]:
    yield [text("store written by"), text(run.recorded("").get("software", "unknown"))]
    yield [text("trained by"), text(run.record.get("software", "unknown"))]
    yield [text("reported by"), text(f"unettrain {__version__}")]
    yield [text("Python"), text(platform.python_version())]
    for name in PACKAGES:
        yield [text(name), text(version(name))]


def footer() -> Html:
    """References."""
    return element(
        "footer",
        join([
            paragraph(
                "O. Ronneberger, P. Fischer, T. Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation,"
                " 2015 (arXiv 1505.04597). N. Otsu: A Threshold Selection Method from Gray-Level Histograms, 1979."
                " AP as in U. Schmidt et al.: Cell Detection with Star-convex Polygons, 2018."
            )
        ]),
    )  # fmt: skip
