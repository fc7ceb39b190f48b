"""Public names are found by `dir`, on which tab completion and the API reference of the site rest."""

from importlib import import_module

import pytest


@pytest.mark.parametrize("package", ["unetprep", "unettrain", "unettrain.metrics"])
def test_every_public_name_is_listed_and_documented(package: str) -> None:
    module = import_module(package)
    assert set(module.__all__) <= set(dir(module))
    undocumented = [name for name in module.__all__ if name != "__version__" and not getattr(module, name).__doc__]
    assert not undocumented
