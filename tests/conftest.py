"""Tests that take minutes run only when their marker is asked for."""

import pytest

ON_REQUEST = {"cluster": "make test-cluster", "kills": "make test-kills"}  # marker -> how to run it


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of markers that ``-m`` does not name."""
    asked = str(config.getoption("markexpr"))
    left_out = [name for name in ON_REQUEST if name not in asked]
    chosen = [item for item in items if not any(item.get_closest_marker(name) for name in left_out)]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen
