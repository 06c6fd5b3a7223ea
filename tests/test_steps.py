"""One word per step: a program has a library function and a file of tests of its name."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = sorted((ROOT / "workflow_scripts").glob("*.py"))
LIBRARY = ROOT / "workflow_scripts/neurocine"
TESTS = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}


def library_functions() -> dict[str, set[str]]:
    """Modules of the library by the public functions that they define."""
    found: dict[str, set[str]] = {}
    for path in LIBRARY.rglob("*.py"):
        module = ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, set()).add(module)
    return found


FUNCTIONS = library_functions()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_calls_the_library_function_of_its_name(program: Path) -> None:
    step, tree = program.stem, ast.parse(program.read_text(encoding="utf-8"))
    imported = {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and any(alias.name == step for alias in node.names)
    }
    assert imported & FUNCTIONS.get(step, set()), f"no function {step} of the library is imported"
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert any(isinstance(call.func, ast.Name) and call.func.id == step for call in calls)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_step_has_a_file_of_tests_of_its_name(program: Path) -> None:
    path = TESTS.get(f"test_{program.stem}.py")
    assert path is not None
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
