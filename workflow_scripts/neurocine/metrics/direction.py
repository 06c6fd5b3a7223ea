"""Which metrics are better when they are smaller; without heavy imports, because pages and tables ask too."""

LOWER_IS_BETTER = frozenset({"epe_farneback", "epe_farneback_512"})


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value of the metric is the better one."""
    return metric in LOWER_IS_BETTER


def best(metric: str, values: list[float]) -> float:
    """Return the best of some values of a metric."""
    return min(values) if lower_is_better(metric) else max(values)
