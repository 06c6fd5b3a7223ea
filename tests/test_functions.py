"""Functions stay short, and files of the library can be read in one sitting; counted from their text."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "workflow_scripts/neurocine").rglob("*.py"))
CODE_LINES, LONG_SHARE, FILE_LINES = 40, 0.01, 500
Function = ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(function: Function, source: list[str]) -> int:
    """Count the lines of a function without its docstring, comments of their own lines, and empty ones."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = range(first.lineno, (first.end_lineno or 0) + 1) if documented else range(0)
    lines = range(function.lineno, (function.end_lineno or 0) + 1)
    texts = [source[number - 1].strip() for number in lines if number not in docstring]
    return sum(bool(text) and not text.startswith("#") for text in texts)


def functions() -> dict[str, int]:
    """Code lines of every function of the library."""
    counts = {}
    for path in LIBRARY:
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, Function):
                place = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
                counts[place] = code_lines(node, text.splitlines())
    return counts


def test_lines_are_counted_as_said() -> None:
    text = '''def f(a):
    """Two
    lines."""
    # a comment

    b = a  # counts
    return b
'''
    (function,) = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    assert code_lines(function, text.splitlines()) == 3


def test_fewer_than_one_function_in_a_hundred_is_long() -> None:
    counts = functions()
    long = sorted((name for name, lines in counts.items() if lines > CODE_LINES), key=counts.__getitem__)
    assert len(counts) > 1000
    assert len(long) < LONG_SHARE * len(counts), "\n".join(f"{counts[name]} {name}" for name in long)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.stem)
def test_no_file_is_too_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES
