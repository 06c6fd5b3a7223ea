"""The cluster that the tests of one file share and break."""

from collections.abc import Iterator

import pytest
from slurm_cluster import Cluster, missing, running_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A fresh cluster. Where it cannot run, its tests fail: nobody asked for them in vain."""
    if problem := missing():
        pytest.fail(problem)
    with running_cluster() as started:
        yield started
