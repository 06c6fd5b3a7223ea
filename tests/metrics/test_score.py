"""The scores of a condition, and the programs score and tabulate_scores on files."""

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import AutoencoderKL
from transformers import CLIPImageProcessorPil, CLIPModel

import score
import tabulate_scores
from metrics.tiny import FRAMES, SIZE, slow_movie, write_classifiers, write_decoded
from neurocine.errors import InputError
from neurocine.io import read_arrays, read_table, write_arrays
from neurocine.metrics.definitions.classes import n_way_name
from neurocine.metrics.published import StudyFacts, read_published
from neurocine.metrics.score import metric_chances
from neurocine.metrics.settings import ScoreSettings
from neurocine.metrics.ssim import ssim_mv
from neurocine.metrics.tables import Experiments, TabulateScoresSettings, ablation_table, gather_scores
from tiny_models import write_clip

SETTINGS = ScoreSettings(min_shift_tr=8, bootstrap_draws=1000, label_factors=("colour", "shape"))
CLIPS = {"test1": np.arange(0, 40, 2), "test2": np.arange(24)}
SHIFT = 10
FACTS = StudyFacts(
    dataset="toy",
    published=False,
    test_movies=tuple(f"test{n}" for n in range(1, 6)),
    height=256,
    width=256,
    frames_per_tr=6,
    every=1,
    test_repeats="mean",
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two test movies; decoded without error, with noise, and from brain activity of another time."""
    folder = tmp_path_factory.mktemp("study")
    movies = {"test1": slow_movie(40, 1), "test2": slow_movie(24, 2)}
    stimuli = [folder / f"{name}.safetensors" for name in movies]
    for path, (name, videos) in zip(stimuli, movies.items(), strict=True):
        write_arrays(path, {name: videos}, {})
    write_arrays(folder / "train.safetensors", {"seg1": slow_movie(12, 3), "seg2": slow_movie(6, 4)}, {})
    truth = {name: (CLIPS[name], movies[name][CLIPS[name]]) for name in movies}
    generator = np.random.default_rng(5)
    decoded = {"caption": truth, "fmri": {}, "shifted": {}}
    for name, (clips, videos) in truth.items():
        noisy = np.clip(videos + generator.normal(0, 50, videos.shape), 0, 255).astype(np.uint8)
        decoded["fmri"][name] = (clips, noisy)
        decoded["shifted"][name] = (clips, np.roll(noisy, SHIFT, axis=0))
    image, video = write_classifiers(folder)
    write_clip(folder / "clip")
    return {
        "decoded": [
            write_decoded(folder / f"{name}.safetensors", name, part) for name, part in decoded.items()
        ],
        "stimuli": stimuli,
        "train_stimuli": [folder / "train.safetensors"],
        "networks": [f"image_classifier={image}", f"video_classifier={video}", f"clip={folder / 'clip'}"],
        "settings": SETTINGS,
        "seed": 11,
        "dataset": "toy",
        "subject": "1",
        "method": "neurocine",
        "experiment": "paper_main",
    }


@pytest.fixture(scope="module")
def scored(study: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    files = {"clip_scores": folder / "clips.tsv", "cache": folder / "cache.safetensors"}
    score.main(**study, out=folder / "scores.tsv", **files)
    return folder


@pytest.fixture(scope="module")
def table(scored: Path) -> pd.DataFrame:
    return read_table(scored / "scores.tsv").set_index(["condition", "metric"])


def test_the_table_has_the_promised_columns(scored: Path) -> None:
    columns = list(read_table(scored / "scores.tsv").columns)
    assert columns == [
        *("dataset", "subject", "method", "experiment", "condition", "metric", "value", "chance"),
        *("null_mean", "null_p99", "p_value", "draws", "memory_tr", "p_holds"),
        *("baseline_constant", "baseline_mean_frame", "ci_low", "ci_high", "block_tr", "n_clips", "seed"),
    ]


def test_the_truth_scores_perfectly(table: pd.DataFrame) -> None:
    perfect = table.loc["caption"]["value"]
    # Consistency in time does not look at the original.
    expected = {"psnr255": 100, "epe_farneback": 0, "clip_change_error": 0}
    for metric, value in perfect.drop(["clip_pcc_unthresholded", "clip_pcc_thresholded_clip"]).items():
        assert value == pytest.approx(expected.get(metric, 1), abs=1e-3), metric
    assert {"acc_image_50_single", "acc_video_2_any3", "acc_video_shape", "acc_image_colour"} <= set(
        perfect.index
    )
    assert (table["n_clips"] == 44).all()
    assert (table["seed"] == 7).all()


def test_noise_scores_lower_but_above_its_null(table: pd.DataFrame) -> None:
    fmri = table.loc["fmri"]
    for metric in ("ssim_mv", "psnr255"):
        row = fmri.loc[metric]
        assert row["null_mean"] < row["null_p99"] < row["ci_low"] < row["value"] < row["ci_high"]
        assert row["value"] < table.loc[("caption", metric), "value"]
        # All shifts of both movies are all combinations there are; none other reaches the matched one.
        assert row["draws"] == 20 * 24 - 1
        assert row["p_value"] == pytest.approx(1 / (20 * 24), abs=1e-6)
        assert row["p_holds"] == "yes"


def test_brain_activity_of_another_time_scores_at_its_null(table: pd.DataFrame) -> None:
    shifted = table.loc["shifted"]
    assert (shifted["p_value"] > 0.02).all()
    assert shifted.loc["psnr255", "value"] < table.loc[("fmri", "psnr255"), "ci_low"]


def test_the_null_of_shifted_clips_leaves_out_the_pairings_that_undo_the_shift(
    study: dict[str, Any], tmp_path: Path
) -> None:
    arrays = read_arrays(study["decoded"][2])[0]
    settings = SETTINGS.replace(metrics=("ssim_mv", "psnr255"), min_shift_tr=4)
    tables = []
    for name in ("unknown", "known"):
        write_arrays(tmp_path / f"{name}.safetensors", arrays, {"condition": "shifted", "seed": 7})
        given = study | {"decoded": [tmp_path / f"{name}.safetensors"], "settings": settings}
        score.main(**given, out=tmp_path / f"{name}.tsv")
        tables.append(read_table(tmp_path / f"{name}.tsv").set_index("metric"))
        arrays |= {f"{movie}/source": np.roll(clips, SHIFT) for movie, clips in CLIPS.items()}
    whole, known = tables
    assert (known["null_p99"] < whole["null_p99"] - 0.02 * whole["null_p99"]).all()
    assert (known["null_mean"] < whole["null_mean"]).all()
    assert known[["value", "p_value", "ci_low"]].equals(whole[["value", "p_value", "ci_low"]])


def test_values_and_baselines_equal_direct_scores(study: dict[str, Any], table: pd.DataFrame) -> None:
    truth = np.concatenate([read_arrays(p)[0][p.stem][CLIPS[p.stem]] for p in study["stimuli"]])
    decoded = read_arrays(study["decoded"][1])[0]
    noisy = np.concatenate([decoded["test1"], decoded["test2"]])
    row = table.loc[("fmri", "ssim_mv")]
    assert row["value"] == pytest.approx(ssim_mv(noisy, truth).mean(), abs=2e-6)
    assert row["baseline_constant"] == pytest.approx(
        ssim_mv(np.full_like(truth, 110), truth).mean(), abs=2e-6
    )
    train = np.concatenate(list(read_arrays(study["train_stimuli"][0])[0].values()))
    mean = np.broadcast_to(np.rint(train.mean(axis=(0, 1))).astype(np.uint8), truth.shape)
    assert row["baseline_mean_frame"] == pytest.approx(ssim_mv(mean, truth).mean(), abs=2e-6)


def test_clip_scores_average_to_the_value(scored: Path, table: pd.DataFrame) -> None:
    clips = read_table(scored / "clips.tsv")
    fmri = clips[clips["condition"] == "fmri"]
    assert fmri["clip"].tolist() == [*CLIPS["test1"], *CLIPS["test2"]]
    for metric in ("ssim_mv", "acc_video_50_any3"):
        assert fmri[metric].mean() == pytest.approx(table.loc[("fmri", metric), "value"], abs=1e-5)


def test_two_runs_write_the_same_bytes(study: dict[str, Any], scored: Path, tmp_path: Path) -> None:
    score.main(**study, out=tmp_path / "plain.tsv")
    score.main(**study, out=tmp_path / "cached.tsv", cache=scored / "cache.safetensors")
    expected = (scored / "scores.tsv").read_bytes()
    assert (tmp_path / "plain.tsv").read_bytes() == expected
    assert (tmp_path / "cached.tsv").read_bytes() == expected


def test_vifi_is_scored_by_its_own_weights_or_a_fallback_of_another_name(
    study: dict[str, Any], table: pd.DataFrame, tmp_path: Path
) -> None:
    own, fallback = {"vifi", "clip_pcc_thresholded"}, {"clip_video", "clip_pcc_thresholded_clip"}
    assert fallback <= set(table.loc["fmri"].index)
    assert not own & set(table.loc["fmri"].index)
    torch.manual_seed(1)
    write_clip(tmp_path / "vifi")
    settings = SETTINGS.replace(metrics=("vifi", "clip_pcc_thresholded"))
    given = study | {"decoded": study["decoded"][1:2], "settings": settings}
    given["networks"] = [*study["networks"], f"vifi={tmp_path / 'vifi'}"]
    score.main(**given, out=tmp_path / "scores.tsv", clip_scores=tmp_path / "clips.tsv")
    found = read_table(tmp_path / "scores.tsv").set_index("metric")
    assert set(found.index) == own
    clips = read_table(tmp_path / "clips.tsv")
    decoded = read_arrays(study["decoded"][1])[0]

    def embeddings(folder: Path, videos: np.ndarray) -> torch.Tensor:
        model = CLIPModel.from_pretrained(folder).eval()
        shown = CLIPImageProcessorPil.from_pretrained(folder)(list(videos.reshape(-1, *videos.shape[2:])))
        pixels = torch.from_numpy(np.stack(shown["pixel_values"]))
        with torch.inference_mode():
            made = model.visual_projection(model.vision_model(pixels).pooler_output)
        return made.unflatten(0, videos.shape[:2]).double()

    cosine = torch.nn.functional.cosine_similarity
    for movie, path in zip(CLIPS, study["stimuli"], strict=True):
        truth = read_arrays(path)[0][movie][CLIPS[movie]]
        predicted, true = (embeddings(tmp_path / "vifi", videos) for videos in (decoded[movie], truth))
        vifi = cosine(predicted.mean(1), true.mean(1), dim=-1)
        frames = embeddings(study["stimuli"][0].parent / "clip", decoded[movie])
        consistency = cosine(frames[:, 0], frames[:, 1], dim=-1)  # clips of two frames
        rows = clips[clips["movie"] == movie]
        np.testing.assert_allclose(rows["vifi"], vifi, atol=2e-6)
        expected = torch.where(vifi > 0.6, consistency, 0.0)
        np.testing.assert_allclose(rows["clip_pcc_thresholded"], expected, atol=2e-6)
    assert found.loc["vifi", "value"] != pytest.approx(table.loc[("fmri", "clip_video"), "value"], abs=1e-3)


def test_the_round_trip_through_the_vae_is_a_condition(study: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    AutoencoderKL(block_out_channels=(8, 8), norm_num_groups=4, sample_size=SIZE, **blocks).save_pretrained(
        tmp_path / "sd" / "vae"
    )
    latents = np.random.default_rng(0).normal(size=(40, FRAMES, 4, SIZE // 2, SIZE // 2)).astype(np.float16)
    write_arrays(tmp_path / "latents.safetensors", {"test1": latents, "test2": latents[:24]}, {})
    given = study | {"decoded": study["decoded"][:1], "latents": [tmp_path / "latents.safetensors"]}
    score.main(**given, stable_diffusion=tmp_path / "sd", out=tmp_path / "scores.tsv")
    table = read_table(tmp_path / "scores.tsv")
    assert table["condition"].unique().tolist() == ["caption", "vae"]
    assert table[table["condition"] == "vae"]["value"].max() < 20
    write_arrays(tmp_path / "latents.safetensors", {"test1": latents}, {})
    with pytest.raises(InputError, match="--latents"):
        score.main(**given, stable_diffusion=tmp_path / "sd", out=tmp_path / "again.tsv")
    assert not (tmp_path / "again.tsv").exists()


def test_bad_files_are_named(study: dict[str, Any], tmp_path: Path) -> None:
    clips, videos = CLIPS["test1"], slow_movie(20, 0)
    bad = {
        "indices below 40": {"test1": (clips + 30, videos)},
        "the decoded movie test9": {"test9": (clips, videos)},
        "frames and size": {"test1": (clips, slow_movie(20, 0, SIZE // 2))},
        "indices out of order or twice": {"test1": (clips // 4, videos)},
        "no clips of test1": {"test1": (clips[:0], videos[:0])},
    }
    files = {
        message: write_decoded(tmp_path / f"{number}.safetensors", "fmri", movies)
        for number, (message, movies) in enumerate(bad.items())
    }
    for message, path in (files | {"no array named": study["stimuli"][0]}).items():
        given = study | {"decoded": [path]}
        with pytest.raises(InputError, match=message):
            score.main(**given, out=tmp_path / "scores.tsv")
    assert not (tmp_path / "scores.tsv").exists()


def test_clips_in_any_order_score_the_same(
    study: dict[str, Any], table: pd.DataFrame, tmp_path: Path
) -> None:
    arrays = read_arrays(study["decoded"][1])[0]
    order = np.random.default_rng(0).permutation(20)
    mixed = {"test1": (arrays["test1/clip"][order], arrays["test1"][order])}
    mixed["test2"] = (arrays["test2/clip"], arrays["test2"])
    path = write_decoded(tmp_path / "mixed.safetensors", "fmri", mixed)
    score.main(**(study | {"decoded": [path]}), out=tmp_path / "scores.tsv")
    again = read_table(tmp_path / "scores.tsv").set_index(["condition", "metric"])
    pd.testing.assert_frame_equal(again, table.loc[["fmri"]])


def test_command_line(
    study: dict[str, Any], scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["score"]
    for name, value in (study | {"out": tmp_path / "scores.tsv"}).items():
        given = value if isinstance(value, list) else [value]
        if name == "settings":
            given = ['{"min_shift_tr": 8, "bootstrap_draws": 1000, "label_factors": ["colour", "shape"]}']
        words += ["--" + name.replace("_", "-"), *map(str, given)]
    monkeypatch.setattr(sys, "argv", words)
    score.main()
    assert (tmp_path / "scores.tsv").read_bytes() == (scored / "scores.tsv").read_bytes()


def test_chances_and_names() -> None:
    image, video = ([f"a{i % n} b{i}" for i in range(60)] for n in (3, 2))
    chances = metric_chances({"image_logits": image, "video_logits": video}, SETTINGS)
    assert math.isnan(chances["ssim_mv"])
    assert chances["acc_image_50_any3"] == pytest.approx(3 / 52)
    assert chances["acc_video_2_single"] == pytest.approx(1 / 2)
    assert chances["acc_image_colour"] == pytest.approx(1 / 3)
    assert chances["acc_video_colour"] == pytest.approx(1 / 2)
    assert n_way_name("image", 50, 5, "any3") == "acc_image_50_top5_any3"
    with pytest.raises(InputError, match="49 other classes"):
        metric_chances({"image_logits": image[:51], "video_logits": video}, SETTINGS)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"n_ways": (1,)}, {"n_ways": ()}, {"top_ks": (2,)}, {"metrics": ()}, {"n_way_trials": -1}),
        *({"null_draws": 999}, {"grey": 256}, {"block_tr": 0}, {"retrieval_ks": (0,)}),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ScoreSettings(**wrong)


def test_tabulate_scores(study: dict[str, Any], scored: Path, tmp_path: Path) -> None:
    other = read_table(scored / "scores.tsv").assign(experiment="exp08")
    other = other[other["condition"] != "caption"]
    # The ceiling of another subject's table, the same rows.
    ceiling = read_table(scored / "scores.tsv").query("condition == 'caption'")
    pd.concat([other, ceiling]).to_csv(tmp_path / "other.tsv", sep="\t", index=False, na_rep="nan")
    outs = [tmp_path / f"{name}.tsv" for name in ("scores", "main", "ablation")]
    tabulate_scores.main(
        scores=[scored / "scores.tsv", tmp_path / "other.tsv"],
        study=FACTS,
        experiments=Experiments(rows={"exp08": {"augment": True, "spatial_ratio": 0.2, "noise_ratio": 0.25}}),
        settings=TabulateScoresSettings(),
        out_scores=outs[0],
        out_main=outs[1],
        out_ablation=outs[2],
    )
    long, wide, ablation = (read_table(path) for path in outs)
    assert len(long) == len(ceiling) * 5
    assert (long["p_holm"] >= long["p_value"]).all()
    assert wide[["experiment", "condition"]].to_numpy().tolist() == [
        *(["paper_main", condition] for condition in ("caption", "fmri", "shifted")),
        *(["exp08", condition] for condition in ("fmri", "shifted")),
    ]
    row = long[(long["condition"] == "fmri") & (long["metric"] == "ssim_mv")].iloc[0]
    assert wide["ssim_mv"][1] == pytest.approx(row["value"], abs=5e-4)
    assert wide["ssim_mv_ci"][1] == f"{row['ci_low']:.3f} to {row['ci_high']:.3f}"
    best = max(row["baseline_constant"], row["baseline_mean_frame"])
    assert wide["ssim_mv_baseline"][1] == pytest.approx(best, abs=5e-4)
    assert ablation[["experiment", "published", "comparable"]].to_numpy().tolist() == [
        ["exp08", 0.242, "no"],
        ["paper_main", 0.225, "no"],
    ]
    assert ablation["spatial_ratio"].tolist() == ["0.2", ""]  # not among the experiments
    assert ablation["noise_ratio"].tolist() == ["0.25", ""]


def test_an_experiment_without_views_has_the_parameters_of_the_noise_alone() -> None:
    row = {"augment": False, "spatial_ratio": 0.2, "temporal_ratio": 1 / 3, "spatial_weight": 1.0}
    row |= {"temporal_weight": 1.0, "noise_ratio": 0}
    cells = Experiments(rows={"exp00": row, "exp01": row | {"augment": True}}).cells
    assert list(cells("exp00").values()) == ["", "", "", "", "0"]
    assert list(cells("exp01").values()) == ["0.2", "0.333", "1", "1", "0"]


def test_published_values_compare_on_their_own_data_only(scored: Path) -> None:
    scores = read_table(scored / "scores.tsv")
    paper = FACTS.replace(dataset="cc2017", published=True)
    small = paper.replace(height=64)
    known = read_published(), Experiments(), TabulateScoresSettings()
    for facts, subject, expected in ((paper, 1, "yes"), (paper, 2, "no"), (FACTS, 1, "no"), (small, 1, "no")):
        table = gather_scores([scores.assign(dataset=facts.dataset, subject=subject)])
        assert ablation_table(table, known[0], facts, *known[1:])["comparable"].tolist() == [expected]
    unknown = gather_scores([scores.assign(experiment="mine")])
    assert ablation_table(unknown, known[0], paper, *known[1:])["published"].tolist() == [""]
