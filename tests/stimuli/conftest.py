"""Tiny networks, written once for all tests of this folder."""

from pathlib import Path

import pytest

from tiny_models import write_tiny_models


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folder of each network."""
    return write_tiny_models(tmp_path_factory.mktemp("models"))
