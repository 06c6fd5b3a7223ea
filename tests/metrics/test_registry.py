"""Every registered metric: perfect for the original itself, at its chance level for permuted pairs."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metrics.tiny import apart, moving_movie
from neurocine.metrics.definitions.motion import flow_extractor
from neurocine.metrics.features import Clips, FeatureStore
from neurocine.metrics.metric import Judge
from neurocine.metrics.n_way import chance_n_way
from neurocine.metrics.registry import (
    METRICS,
    NETWORKS,
    best,
    lower_is_better,
    metric_of,
    metrics_table,
    needed_features,
    value_range,
)
from neurocine.metrics.score import add_retrieval, metric_chances, score_movie, summarise_scores
from neurocine.metrics.settings import ScoreSettings
from neurocine.metrics.ssim import ssim_pairs
from neurocine.models.catalogue import PUBLISHED
from neurocine.schema import read_schema

LABELS = {
    "image_logits": [f"image {i}" for i in range(120)],
    "video_logits": [f"video {i}" for i in range(110)],
}
SETTINGS = ScoreSettings(
    metrics=tuple(METRICS),
    n_ways=(2, 40, 50, 100),
    top_ks=(1, 5),
    n_way_trials=100,
    min_shift_tr=6,
    null_draws=1000,
    bootstrap_draws=1000,
)
N_CLIPS = (24, 20)
JUDGE = Judge(LABELS, SETTINGS, compare={"lpips": apart})


def with_features(videos: np.ndarray, seed: int) -> Clips:
    """Clips with random logits and embeddings, such as classifiers and CLIP would give."""
    generator = np.random.default_rng(seed)
    shapes = {
        "image_logits": (2, 120),
        "video_logits": (110,),
        "clip": (2, 16),
        "vifi": (2, 16),
        "videomae": (16,),
    }
    random = {
        name: generator.normal(size=(len(videos), *shape)).astype(np.float32)
        for name, shape in shapes.items()
    }
    extractors = {"flow": flow_extractor("cpu"), "flow_512": flow_extractor("cpu", 64)}
    extractors["flow_ma"] = flow_extractor("cpu", 64, exchanged=True)
    return Clips(videos, random | FeatureStore(extractors).run(videos).features)


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """Scores of the original itself, of another movie, and of a video that never moves."""
    kinds: dict[str, list[Any]] = {"identity": [], "unrelated": [], "frozen": []}
    for number, n in enumerate(N_CLIPS):
        truth = with_features(moving_movie(n, number), number)
        other = with_features(moving_movie(n, 10 + number), 10 + number)
        still = truth.videos[:, :1].repeat(2, axis=1)
        frozen = with_features(still, 20 + number)
        baselines = {
            name: with_features(np.full_like(truth.videos[:1], grey), 30)
            for name, grey in (("constant", 110), ("mean_frame", 90))
        }
        for kind, predicted in (("identity", truth), ("unrelated", other), ("frozen", frozen)):
            clips = np.arange(n)
            movie = score_movie(f"test{number}", clips, predicted, truth, baselines, JUDGE)
            kinds[kind].append(movie)
    chances = metric_chances(LABELS, SETTINGS)
    made = {}
    for kind, movies in kinds.items():
        added, found = add_retrieval(movies, SETTINGS)
        made[kind] = summarise_scores(added, chances | found, SETTINGS, seed=0).set_index("metric")
    return made


def test_identity_is_perfect_in_every_metric_that_looks_at_the_original(
    tables: dict[str, pd.DataFrame],
) -> None:
    perfect = {"psnr255": 100} | {name: 0 for name in METRICS if lower_is_better(name)}
    values = tables["identity"]["value"]
    # These tell how alike a prediction's own frames are.
    for metric in values.index[~values.index.str.startswith("clip_pcc")]:
        assert values[metric] == pytest.approx(perfect.get(metric, 1), abs=2e-3), metric
    assert len(values) > 60
    assert (tables["identity"]["p_value"].drop([m for m in values.index if "clip_pcc" in m]) < 0.05).all()


def test_permuted_pairs_sit_at_the_analytic_chance(tables: dict[str, pd.DataFrame]) -> None:
    table = tables["unrelated"]
    known = table[table["chance"].notna()]
    kinds = {re.sub(r"\d+", "", metric) for metric in known.index}
    assert {"acc_image__single", "acc_video__top_any", "motion_id_way", "retrieval_clip_top"} <= kinds
    for metric, row in known.iterrows():
        # 44 clips at most agree by luck; the mean over all shifts is nearer.
        assert row["null_mean"] == pytest.approx(row["chance"], abs=0.06), metric
        assert row["p_value"] > 0.005, metric


def test_chance_levels(tables: dict[str, pd.DataFrame]) -> None:
    chance = tables["identity"]["chance"]
    assert chance["acc_image_40_any3"] == pytest.approx(3 / 42)
    assert chance["acc_video_100_top5_single"] == pytest.approx(chance_n_way(100, 1, 5)) == 0.05
    assert chance["acc_video_2_any3"] == chance["acc_video_2_any3_mc100"] == 0.75
    assert "acc_image_2_top5_any3" not in chance
    assert chance["retrieval_clip_top10"] == pytest.approx(10 / 44)
    assert chance["motion_id_2way"] == 0.5
    dropped = [
        sum(1 for other in range(n) if abs(other - clip) > 5 or other == clip) + sum(N_CLIPS) - n
        for n in N_CLIPS
        for clip in range(n)
    ]
    assert chance["retrieval_clip_top1_drop5"] == pytest.approx(np.mean(1 / np.array(dropped)))


def test_random_trials_estimate_the_exact_accuracy(tables: dict[str, pd.DataFrame]) -> None:
    values = tables["unrelated"]["value"]
    for metric in values.index[values.index.str.endswith("_mc100")]:
        assert values[metric] == pytest.approx(values[metric.removesuffix("_mc100")], abs=0.03)
        assert values[metric] != values[metric.removesuffix("_mc100")]


def test_a_frozen_video_wins_no_motion_metric_but_epe(tables: dict[str, pd.DataFrame]) -> None:
    frozen, unrelated = tables["frozen"]["value"], tables["unrelated"]["value"]
    assert frozen["flow_cos"] == frozen["flow_corr"] == frozen["motion_energy_rho"] == 0
    assert frozen["motion_id_2way"] == 0.5
    # What EPE rewards: not to move at all beats moving otherwise.
    assert frozen["epe_farneback"] < unrelated["epe_farneback"]


def test_intervals_stay_in_the_range_of_their_metric(tables: dict[str, pd.DataFrame]) -> None:
    sure = tables["identity"].loc["motion_energy_rho", ["ci_low", "ci_high"]]
    assert sure.tolist() == pytest.approx([1, 1])
    for table in tables.values():
        for metric, row in table.iterrows():
            lowest, highest = value_range(str(metric))
            assert lowest <= row["ci_low"] <= row["ci_high"] <= highest, metric
    assert value_range("acc_image_2_any3") == (0, 1)
    assert value_range("unknown") == (-math.inf, math.inf)


def test_smaller_is_better_where_it_is(tables: dict[str, pd.DataFrame]) -> None:
    row = tables["identity"].loc["epe_farneback"]
    assert row["value"] < row["null_p99"] < row["null_mean"]
    row = tables["identity"].loc["ssim_mv"]
    assert row["value"] > row["null_p99"] > row["null_mean"]


def test_the_names_of_config_docs_and_registry_agree() -> None:
    node = read_schema()["properties"]["score"]["properties"]["metrics"]
    assert set(node["items"]["enum"]) == set(METRICS)
    page = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text()
    assert metrics_table() in page, "docs/scoring.md is not current: make docs"


def test_networks_of_metrics_are_in_the_catalogue() -> None:
    assert set(NETWORKS) == {name for name, network in PUBLISHED.items() if network.scores}


def test_a_value_is_of_the_metric_whose_name_it_begins_with() -> None:
    names = {
        "acc_image_2_any3": "acc_image",
        "retrieval_clip_top10_drop5": "retrieval_clip",
        "clip_pcc_thresholded_clip": "clip_pcc_thresholded_clip",
        "epe_farneback_512": "epe_farneback_512",
        "epe_farneback": "epe_farneback",
    }
    for value, name in names.items():
        metric = metric_of(value)
        assert metric is not None
        assert metric.name == name
    assert metric_of("ssim") is None
    assert not lower_is_better("ssim")
    assert best("epe_farneback_512", [2.0, 1.0]) == 1
    assert best("ssim_mv", [2.0, 1.0]) == 2


def test_only_what_is_asked_for_is_needed() -> None:
    assert needed_features(ScoreSettings(metrics=("ssim_mv", "psnr255"))) == set()
    assert needed_features(ScoreSettings(metrics=("flow_cos", "acc_video"))) == {"flow", "video_logits"}
    with pytest.raises(ValueError, match="'ssim'"):
        ScoreSettings(metrics=("ssim",))


def test_the_null_of_large_frames_is_estimated_and_the_value_is_exact() -> None:
    first, second = moving_movie(3, 40, 128), moving_movie(3, 41, 128)
    judge = Judge({}, ScoreSettings(metrics=("ssim_mv",)))
    pairs = METRICS["ssim_mv"].pairs(Clips(first), Clips(second), judge)["ssim_mv"]
    every = ssim_pairs(first, second)
    np.testing.assert_allclose(np.diagonal(pairs), np.diagonal(every), atol=1e-5)
    assert not np.array_equal(pairs[0, 1:], every[0, 1:])
    np.testing.assert_allclose(pairs, every, atol=0.02)
