"""Recipes: one TOML file with the parameters of every stage, from import to tiles."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from unetprep.errors import InvalidInput
from unetprep.parameter import CONTROL, Params, option_name, value_from
from unetprep.params import ClusterParams, ImportParams, LayoutParams
from unetprep.stages.table import STAGES
from unetprep.suggestions import did_you_mean
from unetprep.toml_files import read_toml

P = TypeVar("P", bound=Params)
SOURCES = ("image", "labels", "data")
LAYOUT_FIELDS = tuple(field.name for field in fields(LayoutParams))
CLUSTER_PATHS = ("log_folder", "tls_ca", "tls_cert", "tls_key")


@dataclass(frozen=True)
class Recipe:
    """Contents of a recipe. Relative paths start at the folder of the recipe."""

    out: str
    images: tuple[str, ...]
    labels: tuple[str, ...]
    importing: ImportParams
    stages: dict[str, Params]
    data: str = ""
    layout: LayoutParams | None = None
    cluster: ClusterParams = field(default_factory=ClusterParams)


def read_recipe(path: str) -> Recipe:
    """Read a recipe, a TOML file.

    Raises InvalidInput for a file that is not TOML, an unknown key, or a value of the wrong type.
    """
    data = _read_toml(path)
    section = dict(data.get("import", {}))
    images, labels, folder = (_paths(section.pop(key, ()), path) for key in SOURCES)
    if not (labels or folder) or not isinstance(data.get("out"), str):
        raise InvalidInput(
            f"{path} does not say {'out' if labels or folder else 'labels in [import]'}",
            allowed='out = "ds.zarr", and image and labels, or data, in [import]',
        )
    of_layout = {key: section.pop(key) for key in map(option_name, LAYOUT_FIELDS) if key in section}
    return Recipe(
        _paths(data["out"], path)[0],
        images,
        labels,
        params_from(ImportParams, section, f"[import] of {path}", also=(*SOURCES, *map(option_name, LAYOUT_FIELDS))),
        {s.name: params_from(s.params, data.get(s.name, {}), f"[{s.name}] of {path}") for s in STAGES.values()},
        folder[0] if folder else "",
        params_from(LayoutParams, of_layout, f"[import] of {path}") if of_layout else None,
        _cluster_from(data, path),
    )


def read_cluster(path: str) -> ClusterParams:
    """Read section [cluster] of a recipe, or of a file that holds nothing else."""
    data = _read_toml(path)
    if "cluster" not in data:
        raise InvalidInput(f"{path} says nothing about a cluster", allowed="a TOML file with a section [cluster]")
    return _cluster_from(data, path)


def _read_toml(path: str) -> dict[str, Any]:
    data = read_toml(path, "the recipe")
    sections = ("import", *STAGES, "cluster")
    _check_keys(data, ["out", *sections], path)
    for name in sections:
        if not isinstance(data.get(name, {}), dict):
            raise InvalidInput(f"{name} in {path} is {data[name]!r}", allowed=f"a section [{name}]")
    return data


def _cluster_from(data: Mapping[str, Any], path: str) -> ClusterParams:
    params = params_from(ClusterParams, data.get("cluster", {}), f"[cluster] of {path}")
    given = [name for name in CLUSTER_PATHS if option_name(name) in data.get("cluster", {})]
    seen_from_here: dict[str, Any] = {name: str(Path(path).parent / getattr(params, name)) for name in given}
    return replace(params, **seen_from_here)


def params_from(kind: type[P], values: Mapping[str, Any], where: str, also: tuple[str, ...] = ()) -> P:
    """Parameters of one stage from the values of a section, by their names on the command line."""
    known = {option_name(f.name): f for f in fields(kind)}
    _check_keys(values, [*known, *also], where)
    return kind(**{known[key].name: _value(known[key], value, f"{key} in {where}") for key, value in values.items()})


def _value(field: Field[Any], value: Any, where: str) -> Any:
    """The value of a parameter. Raises InvalidInput for one of another type than the parameter has."""
    if field.metadata["choices"] or field.metadata["parse"]:
        return value_from(field, value)  # checked by the parameter class
    if field.type == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise InvalidInput(f"{where} is {value!r}", allowed='a list of texts, ["...", "..."]')
        return tuple(value)
    kind: Any = next((t for t in get_args(field.type) if t is not type(None)), field.type)  # of int | None: int
    value = str(value) if kind is str and isinstance(value, int) else value
    if not isinstance(value, (int, float) if kind is float else kind) or (isinstance(value, bool) and kind is not bool):
        is_optional = field.default is None
        allowed = f"a value of type {kind.__name__}" if is_optional else f"a value like {field.default!r}"
        raise InvalidInput(f"{where} is {value!r}", allowed=allowed)
    try:
        return kind(value)
    except OverflowError:
        raise InvalidInput(f"{where} is {str(value)[:40]}...", allowed="a float64 number") from None


def _check_keys(values: Mapping[str, Any], known: list[str], where: str) -> None:
    for key in values:
        if key not in known:
            near = did_you_mean(key, known)
            raise InvalidInput(
                f"{key!r} in {where} is not known" + (f"; {near}" if near else ""), allowed=", ".join(known)
            )


def _paths(value: Any, recipe: str) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(v, str) and v for v in values):
        raise InvalidInput(f"{recipe} names the path {value!r}", allowed="a path, or a list of paths, in quotes")
    for path in values:
        if CONTROL.search(path):
            raise InvalidInput(
                f"{recipe} names the path {path[:80]!r}", allowed="no line breaks and other control characters"
            )
    return tuple(v if "://" in v else str(Path(recipe).parent / v) for v in values)
