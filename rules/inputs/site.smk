"""What a rule asks a cluster for."""


def request_of(one, gpus):
    """What a rule asks for at its first try; None where that takes a job to be known (--set-resources)."""
    sizes = [one.resources[name] for name in ("runtime", "mem_mb")]
    if any(size.is_evaluable() for size in sizes):
        return None
    threads = one.resources["_cores"]
    return partitions.Request(
        one.name,
        *(float(size.value) for size in sizes),
        threads=1 if threads.is_evaluable() else threads.value,
        gpus=gpus,
        resumes="state" in one.params.keys(),
    )


def growing(request):
    """The memory of each try of a rule: more once a job has run out of it, where that is known."""

    def grow(wildcards, attempt):
        tries = SHORTAGES.tries(request.rule, dict(wildcards.items()), attempt)
        return partitions.memory_of_try(request, SITE.partitions, tries)

    return grow


def asked(rule, resource):
    """The number of something that a rule asks for, else 0.

    An expression can only come from --set-resources, and who gives one says the rest as well.
    """
    value = rule.resources.get(resource)
    return 0 if value is None or value.is_evaluable() else value.value or 0
