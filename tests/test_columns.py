"""Tables tell what their columns hold."""

import json
from pathlib import Path

import pandas as pd
import pytest

from neurocine.columns import describe_columns, write_described_table
from neurocine.fmri import inspect
from neurocine.metrics import feature_scores, fmri_agreement
from neurocine.metrics.registry import METRICS
from neurocine.surface import rank_areas
from neurocine.version import code_version

# As the steps write them.
TABLES = {
    "scores": "dataset subject method experiment condition metric value chance null_mean null_p99 "
    "p_value draws memory_tr p_holds baseline_constant baseline_mean_frame ci_low ci_high "
    "block_tr n_clips seed p_holm",
    "results": "dataset subject method experiment condition metric value ci_low ci_high n_clips seeds "
    "seed_sd trainings train_sd chance null_mean baseline_constant baseline_mean_frame p_holm",
    "main": "dataset seed n_clips ssim_mv ssim_mv_ci ssim_mv_null ssim_mv_p ssim_mv_baseline "
    "acc_image_50_any3_ci",
    "ablation": "spatial_ratio temporal_ratio spatial_weight temporal_weight noise_ratio baseline "
    "published comparable",
    "published": "source reading system year named n_way top_k published std value seeds comparable reason "
    "note",
    "comparisons": "kind first second metric n_clips first_seeds second_seeds trainings difference block_tr "
    "tested_over p_value p_family",
    "agree_fmri": " ".join(["condition", "seed", *fmri_agreement.VALUE_COLUMNS]),
    "test_order": "condition seed sample metric value permuted permuted_p reversed reversed_p other_clip "
    "other_clip_p held held_p orders n_clips evidence",
    "attention": "kind stage layer area group hemisphere vertices importance_softmax softmax_low "
    "softmax_high importance_l2row entropy random_softmax random_l2row random_entropy "
    "fall_cosine fall_cosine_low random_fall_cosine fall_identification_high "
    "random_fall_identification",
    "vertices": "vertex area group hemisphere",
    "rank_areas": " ".join(rank_areas.COLUMNS),
    "runs": " ".join(inspect.COLUMNS),
    "score_features": " ".join(["dataset", "subject", "decoders", "condition", *feature_scores.COLUMNS]),
    "sweep_lags": "subject lag_tr test_repeats n_clips cosine cosine_low cosine_high cosine_chance "
    "identification identification_low identification_high identification_chance",
    "noise_ceiling": "group area n_vertices movies fewest_repeats most_repeats signal_share reliability "
    "ceiling_single ceiling_mean",
}


@pytest.mark.parametrize("table", TABLES)
def test_every_column_of_a_table_is_described(table: str) -> None:
    names = TABLES[table].split()
    described = describe_columns(names)
    assert not set(names) - set(described)
    assert all(entry["Description"] for entry in described.values())


def test_every_metric_is_described_with_the_ends_of_wide_tables() -> None:
    for name in METRICS:
        plain, interval = (describe_columns([column])[column] for column in (name, f"{name}_ci"))
        assert interval["Description"].endswith(plain["Description"])
        assert interval["Description"].startswith("95 % interval")


def test_of_unknown_columns_nothing_is_made_up() -> None:
    assert describe_columns(["mystery", "mystery_ci", "random_mystery"]) == {}
    assert describe_columns(["memory_tr"]) == {
        "memory_tr": {"Description": "for how long scores resemble each other", "Units": "TR"}
    }


def test_description_lies_beside_the_table(tmp_path: Path) -> None:
    write_described_table(tmp_path / "tables/scores.tsv", pd.DataFrame({"metric": ["ssim"], "value": [0.2]}))
    assert (tmp_path / "tables/scores.tsv").read_text() == "metric\tvalue\nssim\t0.2\n"
    beside = json.loads((tmp_path / "tables/scores.json").read_text())
    assert beside["value"] == {"Description": "mean over clips", "Units": "that of the metric"}
    assert beside["GeneratedBy"][0]["Version"] == code_version()
