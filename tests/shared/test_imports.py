"""What each process loads: a gateway that pulled in langgraph would start slowly, and user code could block it."""

import subprocess
import sys

import pytest

# Runs in a fresh interpreter. `__main__` modules start something when imported.
IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*sys.modules, sep="\\n")
"""

IMPORT_ONE = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*sys.modules, sep="\\n")
"""


def loaded(code: str, name: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("package", "never"),
    [
        ("lineshaft", {"aiohttp", "langchain_core", "langgraph", "lineshaft_api", "lineshaft_worker"}),
        ("lineshaft_api", {"langchain_core", "langgraph", "lineshaft_worker"}),
        ("lineshaft_worker", {"aiohttp.web", "lineshaft_api"}),
        ("lineshaft_demo", {"lineshaft", "lineshaft_api", "lineshaft_worker"}),
    ],
)
def test_a_package_imports_only_in_the_permitted_direction(package: str, never: set[str]) -> None:
    assert loaded(IMPORT_ALL, package) & never == set()


def test_the_parent_of_a_worker_stays_small() -> None:
    """It holds the lease of a child whose graphs may use up the memory; it must not load them a second time."""
    assert loaded(IMPORT_ONE, "lineshaft_worker.parent") & {"aiohttp", "langchain_core", "langgraph"} == set()
