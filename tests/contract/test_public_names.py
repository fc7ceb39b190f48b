"""Public names: complete in `dir`, documented, and not hidden by modules."""

from importlib import import_module
from pkgutil import iter_modules

import pytest


@pytest.mark.parametrize("package", ["unetprep", "unettrain", "unettrain.metrics"])
def test_every_public_name_is_listed_and_documented(package: str) -> None:
    module = import_module(package)
    assert set(module.__all__) <= set(dir(module))
    undocumented = [name for name in module.__all__ if name != "__version__" and not getattr(module, name).__doc__]
    assert not undocumented


@pytest.mark.parametrize("package", ["unetprep", "unettrain"])
def test_no_public_name_is_that_of_a_module(package: str) -> None:
    """Importing a module puts it in the place of a name of its package."""
    module = import_module(package)
    assert not set(module.__all__) & {found.name for found in iter_modules(module.__path__)}
