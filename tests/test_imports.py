"""Imports between the packages of the library point one way."""

import ast
from pathlib import Path

LIBRARY = Path(__file__).parents[1] / "workflow_scripts" / "neurocine"


def unit(name: str) -> str:
    """The package below ``neurocine`` that a module is in, or the module where it is in none."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(path: Path) -> set[str]:
    """Packages and top-level modules that a module imports, at its top or within functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {unit(alias.name) for alias in node.names if alias.name.startswith("neurocine.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "neurocine":
            found |= {alias.name for alias in node.names if not alias.name.startswith("__")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("neurocine."):
            found.add(unit(str(node.module)))
    return found


def find_cycle(arrows: dict[str, set[str]]) -> list[str]:
    """Find names that import each other in a circle."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in sorted(arrows.get(name, ())):
            if cycle := visit(other, [*path, name]):
                return cycle
        done.add(name)
        return []

    return next((cycle for name in sorted(arrows) if (cycle := visit(name, []))), [])


def test_a_cycle_is_found() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_packages_import_each_other_in_no_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for path in LIBRARY.rglob("*.py"):
        name = ".".join(("neurocine", *path.relative_to(LIBRARY).with_suffix("").parts))
        arrows.setdefault(unit(name), set()).update(imports(path) - {unit(name)})
    assert len(arrows) > 20
    assert not find_cycle(arrows), " -> ".join(find_cycle(arrows))
