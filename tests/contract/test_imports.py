"""Modules that a package loads, in fresh processes."""

import subprocess
import sys

import pytest

SHARED = (  # packages and modules of the pipeline that the trainer uses
    *("annotations", "credentials", "errors", "format", "host_memory", "kernels", "lengths", "parameter"),
    *("pictures", "sources", "storage", "suggestions"),
)
HEAVY = ("dask", "distributed", "torch", "zarr", "numpy", "numba", "scipy", "xarray", "skimage")


def loaded(code: str) -> set[str]:
    """The packages that are loaded after running some code in a new interpreter."""
    script = f"import sys, runpy\n{code}\nprint('\\nLOADED', *{{m.partition('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("LOADED")[2].split())


def with_all_modules(package: str) -> str:
    return (
        f"import pkgutil, importlib, {package}\n"
        f"for m in pkgutil.walk_packages({package}.__path__, '{package}.'): importlib.import_module(m.name)"
    )


def test_the_trainer_knows_no_dask_and_no_xarray() -> None:
    code = (
        with_all_modules("unettrain")
        + "\nours = [m for m in sys.modules if m.startswith('unetprep')]"
        + f"\nloaded = {{m.split('.')[1] for m in ours if m != 'unetprep'}}\nassert loaded <= {set(SHARED)}, loaded"
    )
    assert not {"dask", "distributed", "xarray"} & loaded(code)


def test_the_pipeline_knows_no_torch() -> None:
    assert not {"torch", "unettrain"} & loaded(with_all_modules("unetprep"))


def test_the_kernels_know_numpy_and_numba_only() -> None:
    assert not {"dask", "zarr", "torch", "xarray", "scipy.ndimage", "skimage"} & loaded(
        with_all_modules("unetprep.kernels")
    )


@pytest.mark.parametrize("command", ["prep.main", "train.main"])
def test_help_loads_nothing_heavy(command: str) -> None:
    code = f"from unetcli.{command} import main\nmain(['--help'], standalone_mode=False)"
    assert not set(HEAVY) & loaded(code)


@pytest.mark.parametrize("package", ["unetprep", "unettrain"])
def test_importing_a_package_is_cheap(package: str) -> None:
    assert not set(HEAVY) & loaded(f"import {package}")


def test_what_the_commands_share_loads_no_image_processing() -> None:
    """It takes longer to load than a command that finds nothing to do."""
    modules = "unetprep.prepare, unetprep.stages.importing, unetprep.stages.weights"
    loaded(f"import {modules}\nassert not {{'scipy.ndimage', 'skimage'}} & set(sys.modules)")
