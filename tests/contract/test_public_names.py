"""Public names: complete in `dir`, documented, and not hidden by modules."""

import inspect
import re
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest


def is_documented(thing: Any) -> bool:
    """Whether it has a docstring that somebody wrote; that of a dataclass without one is its signature."""
    return bool(thing.__doc__) and not thing.__doc__.startswith(f"{getattr(thing, '__name__', '')}(")


def methods_of(thing: Any) -> dict[str, Any]:
    """Public methods and properties that a class defines; nothing of what is no class."""
    members = {} if not inspect.isclass(thing) else {k: getattr(v, "__func__", v) for k, v in vars(thing).items()}
    return {k: v for k, v in members.items() if k[0] != "_" and (inspect.isfunction(v) or isinstance(v, property))}


@pytest.mark.parametrize("package", ["unetprep", "unettrain", "unettrain.metrics"])
def test_every_public_name_is_listed_and_documented(package: str) -> None:
    module = import_module(package)
    assert set(module.__all__) <= set(dir(module))
    public = {name: getattr(module, name) for name in module.__all__ if name != "__version__"}
    public |= {f"{name}.{key}": method for name, thing in public.items() for key, method in methods_of(thing).items()}
    assert not [name for name, thing in public.items() if not is_documented(thing)]


def unexplained(thing: Any) -> list[str]:
    """Public fields of a dataclass that no docstring of the class or of its bases names, and that have no help."""
    if not (inspect.isclass(thing) and is_dataclass(thing)):
        return []
    told = set(re.findall(r"\w+", " ".join(filter(None, (inspect.getdoc(base) for base in thing.__mro__[:-1])))))
    return [each.name for each in fields(thing) if each.name[0] != "_" and each.name not in told and not each.metadata]


@pytest.mark.parametrize("package", ["unetprep", "unettrain", "unettrain.metrics"])
def test_every_field_of_a_public_dataclass_is_explained(package: str) -> None:
    module = import_module(package)
    found = {name: unexplained(getattr(module, name)) for name in module.__all__}
    assert not {name: names for name, names in found.items() if names}


def test_an_unexplained_field_is_found() -> None:
    @dataclass
    class Base:
        """One `size`."""

        size: int

    @dataclass
    class Told(Base):
        """Further: its place."""

        place: int
        helped: int = field(metadata={"help": "by its option"})
        places: int = 0

    assert unexplained(Told) == ["places"]


def test_a_missing_docstring_is_found() -> None:
    undocumented = type("Undocumented", (), {"method": lambda self: self, "__doc__": "Undocumented(a: int)"})
    assert not is_documented(undocumented)
    assert [is_documented(method) for method in methods_of(undocumented).values()] == [False]


@pytest.mark.parametrize("package", ["unetprep", "unettrain"])
def test_no_public_name_is_that_of_a_module(package: str) -> None:
    """Importing a module puts it in the place of a name of its package."""
    module = import_module(package)
    assert not set(module.__all__) & {found.name for found in iter_modules(module.__path__)}
