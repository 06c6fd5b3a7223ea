"""What the modules of a package declare, found by being there: a new entry takes a new module alone."""

import importlib
import pkgutil
from inspect import isabstract
from types import ModuleType
from typing import Any


def modules_in(package: str) -> list[ModuleType]:
    """Import the modules of a package, in the order of their names."""
    path = importlib.import_module(package).__path__
    names = sorted(module.name for module in pkgutil.iter_modules(path))
    return [importlib.import_module(f"{package}.{name}") for name in names]


def declared(package: str, name: str) -> list[Any]:
    """Gather the entries that the modules of a package declare under a name."""
    return [entry for module in modules_in(package) for entry in getattr(module, name, ())]


def classes_in(package: str, base: type) -> list[Any]:
    """List the classes derived from a base that the modules of a package define, without abstract ones."""
    return [
        entry
        for module in modules_in(package)
        for entry in vars(module).values()
        if isinstance(entry, type)
        and issubclass(entry, base)
        and entry.__module__ == module.__name__
        and not isabstract(entry)
    ]
