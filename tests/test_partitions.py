"""Requests held against partitions, without a cluster: what grows, what is clipped, what is told."""

from math import inf

import pytest

from neurocine.errors import InputError
from neurocine.partitions import (
    Partition,
    Request,
    choose,
    fit,
    memory_of_try,
    misfit,
    on_slurm,
    read_minutes,
    read_partitions,
)

CPU = Partition("cpu", runtime=1440, mem_mb=256_000, threads=64)
GPU = Partition("gpu", runtime=1440, mem_mb=250_000, threads=32, gpus=4)
LONG = Partition("long", runtime=4320, mem_mb=100_000, threads=32, gpus=1)
SITE = [CPU, GPU, LONG]
DECODER = Request("train_decoder", runtime=2880, mem_mb=64_000, threads=4, gpus=1, resumes=True)


def test_memory_grows_once_over_six_shortages() -> None:
    assert [memory_of_try(DECODER, [GPU], tries) for tries in range(1, 7)] == [64_000, *[128_000] * 5]


def test_memory_never_exceeds_the_largest_partition_that_takes_the_job() -> None:
    fitted = fit(DECODER, SITE)
    assert fitted is not None
    # Only the partition "long" has its time limit, and that has 100 GB.
    assert [memory_of_try(fitted, SITE, tries) for tries in range(1, 7)] == [64_000, *[100_000] * 5]
    large = Request("embed", 60, 240_000, gpus=1)
    assert memory_of_try(large, [CPU, GPU], 6) == 250_000
    # Where none takes it, a job asks at least for what it needs.
    assert memory_of_try(Request("a", 60, 300_000), [CPU], 1) == 300_000


def test_only_requests_that_resume_are_clipped_to_the_time_limit() -> None:
    fitted = fit(DECODER, [CPU, GPU])
    assert fitted is not None
    assert (fitted.runtime, fitted.mem_mb) == (1440, 64_000)
    assert fit(DECODER, SITE) == DECODER
    assert fit(Request("score", 2880, 16_000, gpus=1), [CPU, GPU]) is None
    assert fit(Request("score", 240, 16_000, gpus=1), [CPU, GPU]) == Request("score", 240, 16_000, gpus=1)


@pytest.mark.parametrize(
    ("request_", "where", "asks", "has", "key"),
    [
        (Request("score", 2880, 16_000, gpus=1), "score", "2880 min", "1440 min", "compute.time_share"),
        (Request("a", 60, 300_000), "a", "300000 MB", "256000 MB, as partition cpu", "compute.memory_share"),
        (Request("b", 60, 1000, gpus=8), "b", "8 GPUs per node", "4 GPUs per node", "compute.gpus"),
        (Request("c", 60, 1000, threads=48, gpus=1), "c", "48 threads", "32 threads", "compute.threads"),
    ],
)
def test_a_misfit_names_the_request_the_nearest_partition_and_the_key(
    request_: Request, where: str, asks: str, has: str, key: str
) -> None:
    assert fit(request_, [CPU, GPU]) is None
    said = str(misfit(request_, [CPU, GPU]))
    assert f"rule {where}: found a request of {asks}; expected at most {has}" in said
    assert f"Lower {key} in the config" in said


def test_jobs_without_gpus_go_where_none_are() -> None:
    assert choose(Request("a", 60, 1000), SITE) == "cpu"
    assert choose(Request("a", 60, 1000, gpus=1), SITE) == "gpu"
    assert choose(DECODER, SITE) == "long"
    assert choose(Request("a", 60, 1000, gpus=9), SITE) is None


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        *((90, 90), ("90", 90), ("12h", 720), ("2d12h", 3600)),
        *(("2-12", 3600), ("1-01:30", 1530), ("12:30:00", 750)),
    ],
)
def test_time_limits_are_read_in_all_forms_of_the_plugin(text: object, minutes: float) -> None:
    assert read_minutes(text) == minutes


def test_limits_that_are_left_out_do_not_bind() -> None:
    found = read_partitions({"cpu": None, "gpu": {"max_gpu": 2, "max_runtime": "1-00:00:00"}}, "site.yaml")
    assert found == [Partition("cpu", inf, inf, inf, 0), Partition("gpu", 1440, inf, inf, 2)]
    with pytest.raises(InputError, match=r"site.yaml: partitions.gpu.max_runtime: found a day; expected"):
        read_partitions({"gpu": {"max_runtime": "a day"}}, "site.yaml")


@pytest.mark.parametrize(
    ("words", "profile", "expected"),
    [
        ("snakemake --profile slurm -n", "", True),
        ("snakemake --profile=/shared/neurocine/slurm/", "", True),
        ("snakemake --executor slurm", "", True),
        ("snakemake --profile slurm --executor local", "", False),
        ("snakemake --cores 2", "slurm", True),
        ("snakemake --cores 2 slurm", "", False),
    ],
)
def test_a_run_on_slurm_is_known_by_its_command(words: str, profile: str, expected: bool) -> None:
    assert on_slurm(words.split(), profile) is expected
