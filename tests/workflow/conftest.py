"""One copy of the workflow for all dry runs."""

from pathlib import Path

import pytest

from workflow_copy import copy_workflow


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the workflow that is only ever dry-run."""
    return copy_workflow(tmp_path_factory.mktemp("checkout"))
