"""Imports point in one direction, and every module belongs to a package in that order."""

import ast
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.processes import PROJECT

# Each imports only from itself and from those before it. Settings name classes as strings.
DIRECTION = [
    "errors", "installation", "setting_kinds", "secrets", "text", "_compat",
    "records", "http",
    "stats", "sources", "crawl", "store", "items", "export", "middlewares", "missing_records",
    "pipelines", "spiders", "daemon",
    "commands", "__main__",
]  # fmt: skip
# The same inside the daemon.
DAEMON = [
    "health", "runner", "configuration", "gate", "protocols", "database", "queue",
    "eggs", "jobs", "outcomes", "nodes", "components", "launcher", "schedules", "alerts", "api",
    "views", "application", "__main__",
]  # fmt: skip
# Packages outside that order, with everything that each may import.
OUTSIDE = {
    "sandbox": {"sources", "records", "errors", "setting_kinds", "text"},
    "settings": {"installation", "secrets", "setting_kinds", "text"},
}
# Of what reads pages the store knows plain values alone.
VALUES_OF_A_CRAWL = {"reasons", "target"}
IMPORTERS_OF_SANDBOX = {"commands", "sandbox"}
PACKAGE = PROJECT / "coinspider"
MODULES = sorted(PACKAGE.rglob("*.py"))


def place(module: str) -> str:
    """``coinspider.store.upsert`` is in ``store``."""
    return [*module.split("."), ""][1]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def names(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            assert node.module
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imported(path: Path) -> set[str]:
    return {place(name) for name in names(path) if name.split(".")[0] == "coinspider"} - {""}


def allowed(own: str) -> set[str]:
    if own in OUTSIDE:
        return OUTSIDE[own] | {own}
    before = set(DIRECTION[: DIRECTION.index(own) + 1])
    return before | ({"sandbox"} if own in IMPORTERS_OF_SANDBOX else set())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_imports_point_one_way(path):
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if own == "__init__":
        return
    assert own in (*DIRECTION, *OUTSIDE), f"{own} has no place in the direction"
    assert imported(path) <= allowed(own)


@pytest.mark.parametrize("path", sorted((PACKAGE / "daemon").rglob("*.py")), ids=str)
def test_imports_point_one_way_inside_the_daemon(path):
    own = path.relative_to(PACKAGE / "daemon").with_suffix("").parts[0]
    if own == "__init__":
        return
    found = {name.split(".")[2] for name in names(path) if name.startswith("coinspider.daemon.")}
    assert found & set(DAEMON) <= set(DAEMON[: DAEMON.index(own) + 1])


@pytest.mark.parametrize("path", sorted((PACKAGE / "store").glob("*.py")), ids=str)
def test_the_store_knows_plain_values_of_a_crawl_alone(path):
    found = {name.split(".")[2] for name in names(path) if name.startswith("coinspider.crawl.")}
    assert found <= VALUES_OF_A_CRAWL


class RunTimeImports(ast.NodeVisitor):
    """Collects what a module imports, also late, except for types only."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        named = (f"{node.module}.{alias.name}" for alias in node.names)
        self.names |= {name if name in NAMES else str(node.module) for name in named}


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


NAMES = set(map(dotted, MODULES))


def test_no_modules_import_each_other():
    graph = {}
    for path in MODULES:
        imports = RunTimeImports()
        imports.visit(tree(path))
        graph[dotted(path)] = imports.names & NAMES - {dotted(path)}
    # Raises CycleError, which names the modules.
    assert list(TopologicalSorter(graph).static_order())


# No type checker reads these files, and they rarely run.
OTHERS = [*sorted((PROJECT / "benchmarks").rglob("*.py")), *sorted((PROJECT / "docs").glob("*.py"))]


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_imports_in_benchmarks_and_docs_exist(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("coinspider"):
            module = import_module(node.module)
            for name in (alias.name for alias in node.names):
                assert hasattr(module, name) or find_spec(f"{node.module}.{name}"), (path, name)
