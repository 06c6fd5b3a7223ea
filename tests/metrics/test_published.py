"""Every published value gets a verdict, and none of another definition ever compares with ours."""

import itertools
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from neurocine.errors import InputError
from neurocine.metrics.published import (
    MIND_ANIMATOR,
    NEUROCINE,
    StudyFacts,
    protocol_of,
    published_ablation,
    published_table,
    read_published,
)
from neurocine.models.catalogue import describe_network, describe_processor

ROOT = Path(__file__).parents[2]
PAPER = StudyFacts(
    dataset="cc2017",
    published=True,
    test_movies=tuple(f"test{n}" for n in range(1, 6)),
    height=256,
    width=256,
    frames_per_tr=6,
    every=1,
    test_repeats="mean",
)
LARGE = PAPER.replace(height=512, width=512, frames_per_tr=8)  # as Mind-Animator
NETWORKS = {
    "image_classifier": "ViT-B/16 of 1000 classes",
    "video_classifier": "VideoMAE-B/16 of 400 classes",
}
NETWORKS |= {"clip": "CLIP ViT-B/32"}
NETWORKS |= {"vifi": "CLIP ViT-B/16, shortest edge 256, crop 224, ImageNet statistics"}
EXPERIMENTS = ("paper_main", "paper_best", *(f"exp{number:02d}" for number in range(11)))
METRICS = (
    *("ssim_mv", "ssim_gauss_gray", "ssim_colbug", "psnr255", "hue_cos_ma", "hue_circ_corr", "vifi"),
    *("clip_pcc_thresholded", "clip_pcc_unthresholded", "clip_pcc_allpairs", "epe_farneback"),
    *(
        "epe_farneback_512",
        "epe_farneback_ma",
        "retrieval_clip_top1",
        "retrieval_clip_top10",
        "clip_video",
        "clip_image",
    ),
    *(
        f"acc_{kind}_{n}{top}_{rule}"
        for kind in ("image", "video")
        for n in (2, 40, 50)
        for top in ("", "_top5")
        for rule in ("any3", "single")
    ),
)


def everything() -> pd.DataFrame:
    """Results of all metrics in all experiments and subjects, each with a value of its own."""
    every = itertools.product(("1", "2", "3"), EXPERIMENTS, METRICS)
    keys = {"dataset": "cc2017", "method": "neurocine", "condition": "fmri", "seeds": 3}
    rows = [
        {**keys, "subject": s, "experiment": e, "metric": m, "value": float(n)}
        for n, (s, e, m) in enumerate(every)
    ]
    table = pd.DataFrame(rows)
    return table.assign(ci_low=table["value"] - 0.1, ci_high=table["value"] + 0.1)


OURS = everything()


def verdicts(facts: StudyFacts = PAPER, **changed: str) -> pd.DataFrame:
    return published_table(OURS, read_published(), facts, NETWORKS | changed)


def comparable(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["comparable"] == "yes"]


def counts(table: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Comparable rows per source and system."""
    found = comparable(table).groupby(["source", "system"]).size()
    return {(str(source), str(system)): int(n) for (source, system), n in found.items()}


NEUROCINE_ROWS = {
    ("arXiv 2402.01590v1 Figure 2a", "NeuroCine"): 3,
    ("arXiv 2402.01590v1 Figure 2b", "NeuroCine"): 2,
    ("arXiv 2402.01590v1 Table 1", "NeuroCine"): 11,
}


def test_every_published_value_has_a_verdict() -> None:
    table = verdicts()
    assert len(table) == 390
    assert set(table["comparable"]) == {"yes", "no"}
    refused = table[table["comparable"] == "no"]
    assert refused["reason"].str.fullmatch(r"not comparable: \S.*\S").all()
    assert (comparable(table)["reason"] == "").all()
    assert (comparable(table)[["value", "published"]].notna()).all(axis=None)
    assert table["comparable"].is_monotonic_decreasing  # those that compare come first
    published = sorted(map(tuple, read_published()[["source", "system", "subject", "value"]].to_numpy()))
    assert sorted(map(tuple, table[["source", "system", "subject", "published"]].to_numpy())) == published


def test_what_compares_is_this_and_nothing_else() -> None:
    main = "arXiv 2405.03280v2 main table"
    again = {("arXiv 2305.11675 abstract", "MinD-Video"): 1, (main, "MinD-Video"): 6}
    assert counts(verdicts()) == NEUROCINE_ROWS | again
    metrics = comparable(verdicts()).groupby("source")["metric"].agg(lambda names: sorted(set(names)))
    assert metrics[main] == [
        *("acc_image_2_any3", "clip_pcc_thresholded", "hue_cos_ma", "psnr255", "ssim_mv", "vifi")
    ]
    assert metrics["arXiv 2402.01590v1 Figure 2b"] == ["acc_image_50_any3", "acc_video_50_any3"]
    # In the size and number of frames of another paper, its own values compare and no others.
    assert counts(verdicts(LARGE)) == {
        (main, "Mind-Animator"): 7,
        (main, "Mind-Animator (CC2017+external video)"): 7,
    }


def test_values_are_those_of_the_same_subject_experiment_metric_n_and_k() -> None:
    known = {(r.subject, r.experiment, r.metric): r.value for r in OURS.itertuples()}
    names = {"ssim": "ssim_mv", "psnr_db": "psnr255", "hue_pcc": "hue_cos_ma", "vifi_clip": "vifi"}
    names |= {"epe_px": "epe_farneback_ma", "clip_pcc_thresholded": "clip_pcc_thresholded"}
    for row in pd.concat([comparable(verdicts()), comparable(verdicts(LARGE))]).itertuples():
        assert row.dataset == "CC2017"
        if row.named.startswith("acc_"):
            assert row.top_k == "1"
            metric = f"{row.named}_{row.n_way}_any3"
        else:
            assert not row.n_way
            metric = names[row.named]
        assert row.metric == metric
        subjects = ("1", "2", "3") if row.subject == "mean" else (row.subject,)
        own = [known[subject, row.experiment, metric] for subject in subjects]
        assert row.value == pytest.approx(sum(own) / len(own))
        assert pd.isna(row.ci_low) == (len(own) > 1)
    table1 = comparable(verdicts()).query("source == 'arXiv 2402.01590v1 Table 1'")
    assert table1["experiment"].tolist() == [f"exp{number:02d}" for number in range(11)]


@pytest.mark.parametrize(
    "change",
    [
        *({"dataset": "HCP-7T-movie"}, {"n_way": "100"}, {"top_k": "10", "n_way": "50"}),
        *({"metric": "ssim_other"}, {"metric": "epe_px_other_protocol"}, {"metric": "clip_pcc_allpairs"}),
        *({"source": "arXiv 2410.19452 Table 1"}, {"source": "another paper"}, {"subject": ""}),
        *({"reading": "summary"}, {"reading": "quotation"}, {"reading": "issue thread"}, {"subject": "4"}),
    ],
)
def test_a_row_changed_in_one_thing_no_longer_compares(change: dict[str, str]) -> None:
    """Also where the study has every metric: only that of the same N, k and definition is looked at."""
    published = read_published().assign(**change)
    assert (published_table(OURS, published, PAPER, NETWORKS)["comparable"] == "no").all()


def test_what_is_inferred_is_said() -> None:
    table = comparable(verdicts())
    inferred = table["note"].str.contains("definition inferred, not stated")
    assert set(table.loc[inferred, "system"]) == {"NeuroCine"}
    assert inferred.sum() == sum(NEUROCINE_ROWS.values())


def test_other_networks_do_not_compare() -> None:
    whole = counts(verdicts())
    lost_rows = (("image_classifier", 2), ("video_classifier", 1), ("clip", 1), ("vifi", 2))
    for name, lost in lost_rows:
        table = verdicts(**{name: "ViT-L/14"})
        assert sum(counts(table).values()) == sum(whole.values()) - lost
        assert table["reason"].str.contains(f"scored by {NETWORKS[name]}, here ViT-L/14").sum() > lost - 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dataset": "toy", "published": False}, "measured on cc2017, not on toy"),
        ({"test_movies": ("test1",)}, "five test movies, here test1"),
        ({"width": 512}, "frames of 256 x 256, here 256 x 512"),
        ({"frames_per_tr": 8}, "6 frames per clip, here 8"),
        ({"every": 3}, "all clips, here 1 of 3"),
        ({"test_repeats": 1}, "mean of all repeats, here 1"),
    ],
)
def test_another_study_does_not_compare(change: dict[str, object], reason: str) -> None:
    changed = verdicts(PAPER.replace(**change))
    assert (changed["comparable"] == "no").all()
    same = changed[changed["value"].notna()]
    small = same[~same["system"].str.startswith("Mind-Animator")]
    assert len(small) == len(comparable(verdicts()))
    assert small["reason"].str.contains(reason, regex=False).all()


def test_studies_of_the_same_data_with_other_names_compare() -> None:
    other = verdicts(PAPER.replace(dataset="neuroclips"))
    pd.testing.assert_frame_equal(other, verdicts())


def test_what_we_lack_is_named() -> None:
    ours = OURS[(OURS["subject"] != "3") & (OURS["experiment"] != "exp10")]
    table = published_table(ours, read_published(), PAPER, NETWORKS)
    row = table[(table["source"] == "arXiv 2305.11675 abstract") & (table["named"] == "ssim")].iloc[0]
    assert row["reason"] == "not comparable: here is no paper_main with ssim_mv of subject mean"
    # The last row of Table 1 has the parameters of paper_main.
    row = table[table["published"].eq(0.225) & table["source"].str.endswith("Table 1")].iloc[0]
    assert (row["experiment"], row["comparable"]) == ("paper_main", "yes")


def test_experiments_of_one_row_have_the_same_parameters() -> None:
    experiments = yaml.safe_load((ROOT / "config.yaml").read_text())["experiments"]
    # Beyond the paper, and another system's recipe.
    published = {name for name in experiments if not name.startswith("own_") and name != "mind_video"}
    assert set(published_ablation(read_published())) == published
    for names in read_published()["experiment"].str.split():
        assert all(experiments[name] == experiments[names[0]] for name in names)


def test_the_ablation_is_the_published_one() -> None:
    values = published_ablation(read_published())
    assert values["paper_main"] == values["exp10"] == 0.225
    assert values["paper_best"] == values["exp08"] == max(values.values()) == 0.242
    figure = read_published().query("source.str.endswith('2a')")
    assert figure.groupby("system")["value"].mean().idxmax() == "NeuroCine"
    assert figure.groupby("system")["subject"].apply(list).tolist() == [["1", "2", "3"]] * 4


def test_protocols_are_found_by_source_and_system() -> None:
    rows = read_published().to_dict("records")
    assert {r["system"] for r in rows if protocol_of(r) is MIND_ANIMATOR} == {
        *("Mind-Animator", "Mind-Animator (CC2017+external video)")
    }
    own = [r for r in rows if "2402.01590" in r["source"]]
    for row in own:
        assert (protocol_of(row) is NEUROCINE) == (row["system"] == "NeuroCine")
    quoted = {r["system"]: protocol_of(r) for r in own if r["system"] != "NeuroCine"}
    assert quoted["MinD-Video"] == "quoted from another paper"
    assert "frames are not stated" in str(quoted["Kupershmidt"])
    video = next(
        r
        for r in rows
        if r["system"] == "MinD-Video" and r["metric"] == "acc_video" and "3280v2" in r["source"]
    )
    assert protocol_of(video) == "its 6 frames were enlarged to 512 x 512 for the classifier"
    hue = next(r for r in rows if r["system"] == "Mind-Animator" and r["metric"] == "hue_pcc")
    assert protocol_of(hue) == "of the first 6 of 8 frames, hue_cos_ma takes all"
    assert not [r for r in rows if protocol_of(r) == "how it was measured is not known"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (
            {
                "size": {"shortest_edge": 256},
                "crop_size": {"height": 224},
                "image_mean": [0.485, 0.456, 0.406],
            },
            "shortest edge 256, crop 224, ImageNet statistics",
        ),
        (
            {"size": 224, "crop_size": 224, "image_mean": [0.48145466, 0.4578275, 0.40821073]},
            "shortest edge 224, crop 224, CLIP statistics",
        ),
    ],
)
def test_processors_are_named_by_their_settings(
    tmp_path: Path, settings: dict[str, object], named: str
) -> None:
    path = tmp_path / "preprocessor_config.json"
    with pytest.raises(InputError, match="preprocessor_config"):
        describe_processor(tmp_path)
    path.write_text(json.dumps(settings))
    assert describe_processor(tmp_path) == named


def test_networks_are_named_by_their_config(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    labels = {str(number): "x" for number in range(400)}
    for config, name in (
        (
            {
                "model_type": "clip",
                "vision_config": {"hidden_size": 1024, "num_hidden_layers": 24, "patch_size": 14},
            },
            "CLIP ViT-L/14",
        ),
        ({"model_type": "clip", "id2label": {"0": "x"}}, "CLIP ViT-B/32"),
        ({"model_type": "videomae", "id2label": labels}, "VideoMAE-B/16 of 400 classes"),
        (
            {"model_type": "vit", "hidden_size": 96, "num_hidden_layers": 4, "patch_size": 8},
            "ViT-(96 wide, 4 layers)/8 of 0 classes",
        ),
    ):
        path.write_text(json.dumps(config))
        assert describe_network(tmp_path) == name
    for broken in ("{", '{"model_type": "bert"}', "[]"):
        path.write_text(broken)
        with pytest.raises(InputError, match=re.escape(str(path))):
            describe_network(tmp_path)
