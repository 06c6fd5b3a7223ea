"""Our scores beside published ones, and why they may not be compared where they may not.

``published.tsv`` holds what was printed; the rules here say how it was measured and which of our metrics, if
any, has that definition. What no rule covers is not comparable.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pandas as pd

from neurocine.datasets.wen2018 import Wen2018
from neurocine.io import read_table
from neurocine.methods import DEFAULT, METHODS, Method
from neurocine.metrics.registry import SHORT_TABLE
from neurocine.settings import Settings, Unit

PUBLISHED = Path(__file__).with_name("published.tsv")
RESULT = ["dataset", "subject", "method", "experiment", "condition"]
PUBLISHED_COLUMNS = [
    *("source", "reading", "system", "year", "dataset", "subject", "experiment", "metric", "named", "n_way"),
    *("top_k", "published", "std", "value", "ci_low", "ci_high", "seeds", "comparable", "reason", "note"),
]


@dataclass(frozen=True)
class Protocol:
    """How a source measured.

    Parameters
    ----------
    metrics : name of the metric in ``published.tsv`` -> our metric of the same definition, without N and k
    size : height and width of the frames, px
    frames : of a clip
    others : name of the metric -> in what it differs from all of ours
    inferred : what is not stated, where the metrics are compared all the same
    """

    metrics: Mapping[str, str]
    size: int
    frames: int
    others: Mapping[str, str] = field(default_factory=dict)
    inferred: str = ""


N_WAY = {"acc_image": "acc_image", "acc_video": "acc_video"}  # any-of-3 in the code of all that publish it
MIND_VIDEO = Protocol({"ssim": "ssim_mv", **N_WAY}, 256, 6)
NEUROCINE = Protocol(
    *({"ssim": "ssim_mv", **N_WAY}, 256, 6),
    inferred="definition inferred, not stated: taken for MinD-Video's, with whose numbers the paper compares",
)
MIND_ANIMATOR = Protocol(
    {
        **{"ssim": "ssim_mv", "psnr_db": "psnr255", "vifi_clip": "vifi", "epe_px": "epe_farneback_ma"},
        **{"clip_pcc_thresholded": "clip_pcc_thresholded", **N_WAY},
    },
    512,
    8,
    {"hue_pcc": "of the first 6 of 8 frames, hue_cos_ma takes all"},
)
MIND_VIDEO_BY_MIND_ANIMATOR = Protocol(
    {
        **{"ssim": "ssim_mv", "psnr_db": "psnr255", "vifi_clip": "vifi", "hue_pcc": "hue_cos_ma"},
        **{"clip_pcc_thresholded": "clip_pcc_thresholded", "acc_image": "acc_image"},
    },
    256,
    6,
    {
        "acc_video": "its 6 frames were enlarged to 512 x 512 for the classifier",
        "epe_px": "how the flow of 6 frames was compared with that of 8 is not stated",
    },
)
# Beginning of the source, systems (none: all), how they were measured or why that is not known.
SOURCES: tuple[tuple[str, tuple[str, ...], Protocol | str], ...] = (
    ("arXiv 2402.01590", ("NeuroCine",), NEUROCINE),
    ("arXiv 2402.01590", ("MinD-Video",), "quoted from another paper"),
    (
        *("arXiv 2402.01590", ()),
        "quoted from another paper, and size and number of this system's frames are not stated",
    ),
    ("arXiv 2305.11675", (), MIND_VIDEO),
    ("arXiv 2405.03280v2", ("MinD-Video",), MIND_VIDEO_BY_MIND_ANIMATOR),
    (
        "arXiv 2405.03280v2",
        ("Mind-Animator", "Mind-Animator (CC2017+external video)"),
        MIND_ANIMATOR,
    ),
    ("arXiv 2405.03280v2", (), "size and number of this system's frames are not stated"),
    ("arXiv 2405.03280v1", (), "of the paper's first version, for whose second it was measured again"),
    ("arXiv 2410.19452", (), "the code of its metrics is not published"),
    ("arXiv 2504.00432", (), "only the abstract was read, which does not say how it was measured"),
)
# How a number was read, where that is not good enough to compare with.
READINGS = {
    "summary": "read in a summary of the paper, not in the paper",
    "quotation": "quoted from another paper",
    "issue thread": "a third party's run, of whose code nothing is known",
}
# Metrics that no metric here equals, whoever publishes them.
UNLIKE = {
    "semantic_accuracy_headline": "task and N are not stated",
    "acc_semantic_headline": "task and N are not stated",
    "retrieval_percent_small_set": "retrieves by the embedding decoded from fMRI, not by the clip's",
    "retrieval_percent_large_set": "retrieves by the embedding decoded from fMRI, not by the clip's",
    "retrieval_percent_keyframe": "retrieves among 300 clips by a decoded key frame",
    "retrieval_percent_fmri": "retrieves among 300 clips by the embedding decoded from fMRI",
    "shuffle_p_clip_pcc": "the p-value of a test that shuffles frames, no score",
    "shuffle_p_epe": "the p-value of a test that shuffles frames, no score",
    "epe_px_other_protocol": "on another scale than Mind-Animator's end-point error",
    "spatial_consistency": "only its name is known",
    "motion_cosine": "only its name is known",
    "basic_h": "only its name is known",
    "basic_l": "only its name is known",
}
# ViFi-CLIP with the preprocessing of its own code, which Mind-Animator scores with.
VIFI = ("vifi", "CLIP ViT-B/16, shortest edge 256, crop 224, ImageNet statistics")
# Published metric -> our networks that score it, and what those were in the papers.
NETWORKS: dict[str, tuple[tuple[str, str], ...]] = {
    "acc_image": (("image_classifier", "ViT-B/16 of 1000 classes"),),
    "acc_video": (("video_classifier", "VideoMAE-B/16 of 400 classes"),),
    "clip_pcc_thresholded": (("clip", "CLIP ViT-B/32"), VIFI),
    "vifi_clip": (VIFI,),
}
COMPARED_NETWORKS = {network for used in NETWORKS.values() for network, _ in used}


class StudyFacts(Settings):
    """What decides whether published values of CC2017 were measured in the same way."""

    dataset: str
    """The study has this name."""
    published: bool
    """The recordings are those that published values were measured on."""
    test_movies: tuple[str, ...]
    """These movies are scored."""
    height: Annotated[int, Unit("px")]
    """Frames have this height."""
    width: Annotated[int, Unit("px")]
    """Frames have this width."""
    frames_per_tr: Annotated[int, Unit("frames")]
    """Each clip has this many frames."""
    every: int
    """Clips 0, k, 2k ... are decoded, where k is this value."""
    test_repeats: str | int
    """All test repeats are averaged (mean), or this many."""

    def differences(self, protocol: Protocol) -> Iterator[str]:
        """Name what differs from a published measurement."""
        size = protocol.size
        if not self.published:
            yield f"measured on cc2017, not on {self.dataset}"
        elif sorted(self.test_movies) != list(Wen2018.test_movies):
            yield f"five test movies, here {', '.join(self.test_movies)}"
        if (self.height, self.width) != (size, size):
            yield f"frames of {size} x {size}, here {self.height} x {self.width}"
        if self.frames_per_tr != protocol.frames:
            yield f"{protocol.frames} frames per clip, here {self.frames_per_tr}"
        if self.every != 1:
            yield f"all clips, here 1 of {self.every}"
        if self.test_repeats != "mean":
            yield f"mean of all repeats, here {self.test_repeats}"


def minimal_table(summary: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """One row per result and metric with all that is needed to read the value.

    Parameters
    ----------
    summary : of `neurocine.metrics.comparisons.compare_clips`
    scores : of `neurocine.metrics.tables.gather_scores`, one row per result, metric and seed

    Returns
    -------
    columns of ``summary``, and chance, null_mean and the baselines (means over seeds), p_holm (largest of the
    seeds); the metrics of the short table in its order
    """
    keys = [*RESULT, "metric"]
    context = scores.assign(**{name: scores[name].astype(str) for name in RESULT}).groupby(keys, sort=False)
    means = context[["chance", "null_mean", "baseline_constant", "baseline_mean_frame"]].mean()
    joined = means.assign(p_holm=context["p_holm"].max()).reset_index()
    table = summary.merge(joined, on=keys, how="left")
    names = dict.fromkeys(table["metric"])
    rank = {name: place for place, name in enumerate(names) if name.startswith(SHORT_TABLE)}
    table = table[table["metric"].isin(rank)]
    first = {name: next(i for i, start in enumerate(SHORT_TABLE) if name.startswith(start)) for name in rank}
    order = table["metric"].map(lambda name: first[name] * len(rank) + rank[name])
    result = table.groupby(RESULT, sort=False).ngroup()
    return table.assign(_result=result, _order=order).sort_values(["_result", "_order"])[table.columns]


def read_published() -> pd.DataFrame:
    """Read the published values: source, how it was read, system, subject, metric with N and k, value ...

    ``experiment`` names, separated by spaces, those of ours with the parameters of the row.
    """
    return read_table(PUBLISHED)


def published_ablation(published: pd.DataFrame) -> dict[str, float]:
    """SSIM of each experiment in Table 1 of NeuroCine."""
    rows = published[published["source"].str.endswith("2402.01590v1 Table 1")].to_dict("records")
    return {name: float(row["value"]) for row in rows for name in row["experiment"].split()}


def protocol_of(entry: Mapping[str, Any]) -> Protocol | str:
    """Find how a published value was measured, or say why it compares with nothing.

    Parameters
    ----------
    entry : a row of ``read_published``

    Returns
    -------
    the protocol, whose ``metrics`` hold the row's metric; or the reason
    """
    if entry["dataset"] != "CC2017":
        return f"measured on {entry['dataset']}"
    if not entry["subject"]:
        return "its subjects are not stated"
    for verdicts, name in ((READINGS, "reading"), (UNLIKE, "metric")):
        if entry[name] in verdicts:
            return verdicts[entry[name]]
    for source, systems, protocol in SOURCES:
        if entry["source"].startswith(source) and (not systems or entry["system"] in systems):
            if isinstance(protocol, str) or entry["metric"] in protocol.metrics:
                return protocol
            return protocol.others.get(entry["metric"], "no metric here has its definition")
    return "how it was measured is not known"


def our_metric(entry: Mapping[str, Any], protocol: Protocol) -> str:
    """Name our metric of a published value's definition, N, k and rule for correct classes included."""
    name = protocol.metrics[entry["metric"]]
    if not entry["n_way"]:
        return name
    top = "" if str(entry["top_k"]) == "1" else f"_top{entry['top_k']}"
    return f"{name}_{entry['n_way']}{top}_any3"


def _printed_metric(entry: Mapping[str, Any]) -> str:
    """Name of a metric that is not ours, with its N and k."""
    parts = (entry["metric"], entry["n_way"], entry["n_way"] and f"top{entry['top_k']}")
    return "_".join(str(part) for part in parts if part)


def beside(system: str, scored: Collection[str]) -> Method:
    """Choose which of our methods stands beside a published system.

    Parameters
    ----------
    system : as the table of published values names it
    scored : names of the methods that this study has results of

    Returns
    -------
    the method that the system is, if the study has results of it; else the first one that it has
    """
    ours = [method for name, method in METHODS.items() if name in scored]
    same = [method for method in ours if system in method.systems]
    return next(iter([*same, *ours]), METHODS[DEFAULT])


def _our_value(
    results: Mapping[tuple[str, str, str, str], Mapping[str, Any]],
    subject: str,
    method: str,
    experiment: str,
    metric: str,
) -> dict[str, Any] | None:
    """Our value, interval and number of seeds; of a mean over subjects without interval."""
    subjects = Wen2018.subjects if subject == "mean" else (subject,)
    rows = [results.get((one, method, experiment, metric)) for one in subjects]
    scored = [row for row in rows if row]
    if len(scored) < len(rows):
        return None
    if len(scored) == 1:
        return {name: scored[0][name] for name in ("value", "ci_low", "ci_high", "seeds")}
    mean = sum(float(row["value"]) for row in scored) / len(scored)
    blank = {"ci_low": float("nan"), "ci_high": float("nan")}
    return {"value": mean, **blank, "seeds": min(int(row["seeds"]) for row in scored)}


def published_table(
    summary: pd.DataFrame, published: pd.DataFrame, facts: StudyFacts, networks: Mapping[str, str]
) -> pd.DataFrame:
    """Put our values beside the published ones.

    Parameters
    ----------
    summary : of `neurocine.metrics.comparisons.compare_clips`
    published : of ``read_published``
    facts : what decides whether a published value is comparable with ours
    networks : image_classifier, video_classifier and clip, as `catalogue.describe_network` names them, and
        vifi, followed by `catalogue.describe_processor`

    Returns
    -------
    ``PUBLISHED_COLUMNS``, one row per published value, those that compare first; ``metric`` is ours where
    it has the definition of ``named``, the published one; value is NaN where we have none; comparable is yes
    or no, with the reason
    """
    ours = summary[summary["condition"] == "fmri"]
    records = [{str(name): value for name, value in row.items()} for row in ours.to_dict("records")]
    keys = ("subject", "method", "experiment", "metric")
    by_result = {(str(r[keys[0]]), str(r[keys[1]]), str(r[keys[2]]), str(r[keys[3]])): r for r in records}
    scored = {method for _, method, _, _ in by_result}
    rows = []
    for record in published.to_dict("records"):
        entry = {str(name): value for name, value in record.items()}
        method = beside(entry["system"], scored)
        experiments = entry["experiment"].split() or [method.main_experiment]
        row = {name: entry[name] for name in PUBLISHED_COLUMNS if name in entry}
        row |= {"named": entry["metric"], "published": entry["value"], "value": float("nan"), "seeds": 0}
        protocol = protocol_of(entry)
        if isinstance(protocol, str):
            reasons, rank = [protocol], 2
            row |= {"metric": _printed_metric(entry)}
        else:
            metric = our_metric(entry, protocol)
            values = [
                (name, _our_value(by_result, entry["subject"], method.name, name, metric))
                for name in experiments
            ]
            experiment, value = next((pair for pair in values if pair[1]), values[0])
            wanted = f"{experiment} with {metric} of subject {entry['subject']}"
            reasons = [*([] if value else [f"here is no {wanted}"]), *facts.differences(protocol)]
            for network, expected in NETWORKS.get(entry["metric"], ()):
                used = networks.get(network, "")
                reasons += [f"scored by {expected}, here {used or 'another'}"] if used != expected else []
            row["note"] = "; ".join(filter(None, (str(row["note"]), protocol.inferred)))
            rank = 1 if reasons else 0
            row |= {"metric": metric, "experiment": experiment, **(value or {})}
        row["comparable"] = "no" if reasons else "yes"
        row["reason"] = "not comparable: " + "; ".join(reasons) if reasons else ""
        rows.append((rank, row))
    rows.sort(key=lambda pair: pair[0])  # stable: within a rank as in the file
    return pd.DataFrame([row for _, row in rows], columns=PUBLISHED_COLUMNS)
