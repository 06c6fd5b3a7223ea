"""Docstrings of the library name every parameter, and give the shapes of arrays."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "workflow_scripts/neurocine"
ARRAY = re.compile(r"\b(ndarray|Tensor|NDArray)\b")
# (n_clips, E), (V,), "any shape" where every one is taken, or a scalar
SHAPE = re.compile(r"\([^()]*,[^()]*\)|\bany shape\b|\bscalars?\b|\b0-d\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef


def public(body: list[ast.stmt]) -> Iterator[Documented]:
    """Functions and classes without a leading underscore, and the methods of such classes."""
    for node in body:
        if isinstance(node, Documented) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


@functools.cache
def places() -> list[tuple[str, Documented]]:
    """`file:line name` of everything public in the library, with its syntax tree."""
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node)
        for path in sorted(LIBRARY.rglob("*.py"))
        for node in public(ast.parse(path.read_text()).body)
    ]


def arguments(function: Function) -> list[ast.arg]:
    """All arguments of a signature, without self and cls."""
    a = function.args
    every = [*a.posonlyargs, *a.args, a.vararg, *a.kwonlyargs, a.kwarg]
    return [arg for arg in every if arg is not None and arg.arg not in ("self", "cls")]


def parameters(node: Documented) -> set[str]:
    """Names that a caller gives: those of the function, of `__init__`, or of a class's fields."""
    if not isinstance(node, ast.ClassDef):
        return {arg.arg for arg in arguments(node)}
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return parameters(part)
    return {
        part.target.id
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    }


def described(docstring: str) -> set[str] | None:
    """Names before ` : ` in the section Parameters; None without such a section."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+$|\Z)", docstring, re.MULTILINE | re.DOTALL)
    if section is None:
        return None
    entries = re.findall(r"^([\w*][\w*, ]*?) : ", section[1], re.MULTILINE)
    return {name.strip(" *") for entry in entries for name in entry.split(",")}


def takes_or_returns_arrays(function: Function) -> bool:
    """Whether an annotation of the signature names arrays, alone or in a container."""
    annotations = [*(arg.annotation for arg in arguments(function)), function.returns]
    return any(ARRAY.search(ast.unparse(annotation)) for annotation in annotations if annotation)


def test_parameters_sections_name_what_the_signature_names() -> None:
    wrong = []
    for place, node in places():
        names = described(ast.get_docstring(node) or "")
        if names is not None and names != parameters(node):
            missing, unknown = sorted(parameters(node) - names), sorted(names - parameters(node))
            wrong.append(f"{place}: not described {missing}, no such parameter {unknown}")
    assert not wrong, "\n".join(wrong)


def test_docstrings_give_the_shapes_of_arrays() -> None:
    wrong = [
        place
        for place, node in places()
        if not isinstance(node, ast.ClassDef)
        and takes_or_returns_arrays(node)
        and not SHAPE.search(ast.get_docstring(node) or "")
    ]
    assert not wrong, "\n".join(wrong)
