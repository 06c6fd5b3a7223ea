"""Load the networks that the chosen metrics need, and nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from neurocine.errors import InputError
from neurocine.metrics.features import FeatureStore
from neurocine.metrics.metric import Labels, Metric, Origin
from neurocine.metrics.registry import FEATURES, METRICS, NETWORKS, chosen_metrics, needed_features
from neurocine.metrics.settings import ScoreSettings

Networks = Mapping[str, Path]  # of `NETWORKS` those there are: folders in their ``from_pretrained`` layout


def parse_networks(words: Sequence[str]) -> dict[str, Path]:
    """Read folders of networks given as ``name=folder``.

    Raises
    ------
    InputError : another form, or a network that no metric needs
    """
    networks = {}
    for word in words:
        name, _, folder = word.partition("=")
        if name not in NETWORKS or not folder:
            expected = f"name=folder, of {', '.join(NETWORKS)}"
            raise InputError("--networks", word, expected, "Correct it.")
        networks[name] = Path(folder)
    return networks


def options(networks: Sequence[str]) -> str:
    """Name networks as options of the command line: ``--clip and --vifi``."""
    return " and ".join("--" + name.replace("_", "-") for name in networks)


def networks_of(metric: Metric) -> list[str]:
    """Names of the networks that a metric needs."""
    return [FEATURES[name].network for name in metric.needs if FEATURES[name].network]


def missing_networks(metric: Metric, networks: Networks) -> list[str]:
    """Names of the networks that a metric needs and that are not given."""
    return [name for name in networks_of(metric) if name not in networks]


def with_fallbacks(metrics: Sequence[str], networks: Networks) -> tuple[tuple[str, ...], list[str]]:
    """Put other metrics, under names of their own, in the place of those whose network is not given.

    Returns
    -------
    the metrics, each once, and a sentence for each that was replaced
    """
    replaced: dict[str, str] = {}
    notes = []
    for name, metric in METRICS.items():
        missing = missing_networks(metric, networks)
        if name not in metrics or not metric.fallback or not missing:
            continue
        if not missing_networks(METRICS[metric.fallback], networks):
            replaced[name] = metric.fallback
            notes.append(f"Without {options(missing)} {metric.fallback} is in the place of {name}.")
    return tuple(dict.fromkeys(replaced.get(name, name) for name in metrics)), notes


def make_store(
    networks: Networks, n_frames: int, settings: ScoreSettings, cached: Mapping[str, np.ndarray], device: str
) -> tuple[FeatureStore, Labels]:
    """Load what the chosen metrics need.

    Parameters
    ----------
    networks : folders of the networks there are
    n_frames : frames of a clip
    settings : section score
    cached : features of an earlier run, (n_clips, ...) each, named as in `FeatureStore`
    device : cpu or cuda

    Returns
    -------
    what computes the features, and the class names of its classifiers

    Raises
    ------
    InputError : a chosen metric needs a network that is not given, or more frames than there are
    """
    for name, metric in chosen_metrics(settings).items():
        missing = missing_networks(metric, networks)
        if missing:
            raise InputError("score.metrics", name, options(missing), f"Give it or leave {name} out.")
        if n_frames < metric.min_frames:
            found, expected = f"{name}, of {n_frames} frames", f"{metric.min_frames} frames or more"
            raise InputError("score.metrics", found, expected, f"Leave {name} out.")
    needed = needed_features(settings)
    extractors = {}
    for name, feature in FEATURES.items():
        if name in needed:
            folder = networks[feature.network] if feature.network else Path()
            extractors[name] = feature.make(Origin(folder, n_frames, device, settings.batch_size))
    labels = {name: extractor.labels for name, extractor in extractors.items() if extractor.labels}
    return FeatureStore(extractors, cached), labels
