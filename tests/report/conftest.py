"""A page of made-up results, and its numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import build_browser as program
from neurocine.metrics.comparisons import NOT_TESTED, OVER_CLIPS
from neurocine.report.browser import BuildBrowserSettings
from neurocine.report.gather import StudyFiles
from neurocine.stimuli.video import write_video

METRICS = {"ssim_mv": (0.2, float("nan")), "acc_image_50_any3": (0.058, 0.058)}


def make_scores() -> pd.DataFrame:
    """Three subjects, two experiments, a result and its control; only subject 1 is above the null."""
    rows = []
    for subject in ("10", "1", "2"):
        for experiment in ("exp<00>", "paper_main"):
            for condition in ("fmri", "shifted"):
                for metric, (null, chance) in METRICS.items():
                    good = subject == "1" and condition == "fmri"
                    value = null + (0.3 if good else 0.001 * int(subject))
                    rows.append(
                        {
                            **{"dataset": "toy", "subject": subject, "method": "neurocine"},
                            **{"experiment": experiment, "condition": condition, "metric": metric},
                            **{"value": value, "chance": chance, "null_mean": null, "null_p99": null + 0.1},
                            **{"p_value": 0.001 if good else 0.3, "p_holm": 0.002, "baseline_constant": 0.1},
                            **{"baseline_mean_frame": 0.15, "ci_low": value - 0.05, "ci_high": value + 0.05},
                            **{"n_clips": 60, "seed": 1},
                        }
                    )
    # The other method's value lies below all others.
    other = next(row for row in rows if row["subject"] == "2" and row["experiment"] == "paper_main")
    vae = other | {"condition": "vae", "value": 0.02}
    return pd.DataFrame([*rows, vae, other | {"method": "other", "value": 0.01}])


def make_comparisons() -> pd.DataFrame:
    """Two paired differences, of conditions and of methods."""
    shared = {"dataset": "toy", "subject": 2, "metric": "ssim_mv", "n_clips": 60, "first_seeds": 1}
    shared |= {"second_seeds": 1, "difference": 0.25, "ci_low": 0.2, "ci_high": 0.3, "p_value": 0.0001}
    return pd.DataFrame(
        [
            {**shared, "kind": kind, "first": first, "second": second, **tested}
            for kind, first, second, tested in (
                (
                    *("condition", "neurocine paper_main fmri", "neurocine paper_main shifted"),
                    {"trainings": 1, "tested_over": OVER_CLIPS, "p_family": 0.02},
                ),
                (
                    *("method", "other paper_main", "neurocine paper_main"),
                    {"trainings": 2, "tested_over": NOT_TESTED, "p_value": np.nan, "p_family": np.nan},
                ),
            )
        ]
    )


def make_published() -> pd.DataFrame:
    """A value that may be compared, one that may not."""
    row = {"source": "Table 1", "system": "NeuroCine", "subject": 1, "metric": "ssim_mv", "published": 0.225}
    row |= {"year": 2024, "dataset": "CC2017", "value": 0.211, "ci_low": 0.2, "ci_high": 0.22, "seeds": 1}
    same = {"experiment": "paper_main", "comparable": "yes", "reason": "", "note": ""}
    other = {"experiment": "exp<00>", "comparable": "no", "note": "perhaps not run again"}
    other |= {"reason": "not comparable: all clips, here 1 of 3"}
    foreign = {"system": "Someone", "subject": "", "experiment": "", "metric": "ssim", "comparable": "no"}
    foreign |= {"value": np.nan, "ci_low": np.nan, "ci_high": np.nan, "note": ""}
    foreign |= {"reason": "not comparable: its subjects are not stated"}
    return pd.DataFrame([row | same, row | other, row | foreign])


def make_summary() -> pd.DataFrame:
    """The mean over three seeds of one score."""
    numbers = {"value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "null_mean": 0.2, "chance": np.nan}
    numbers |= {"baseline_constant": 0.1, "baseline_mean_frame": 0.15, "p_holm": 0.002, "n_clips": 60}
    names = {"subject": 1, "method": "neurocine", "experiment": "paper_main", "condition": "fmri"}
    return pd.DataFrame([{**names, "metric": "ssim_mv", **numbers, "seeds": 3, "seed_sd": 0.0123}])


def make_lag_sweep() -> pd.DataFrame:
    """Two subjects: the best lag is 1 TR for both; only subject 10 has curves over repeats."""
    rows = []
    for subject, repeats in (("10", (4, 1, 2)), ("2", (1,))):
        for lag, count in [*((lag, repeats[0]) for lag in (-1, 0, 1, 2)), *((0, n) for n in repeats[1:])]:
            row = {"subject": subject, "lag_tr": lag, "test_repeats": count, "n_clips": 30}
            for score, chance in (("cosine", 0.0), ("identification", 0.5)):
                value = chance + 0.2 - 0.05 * abs(lag - 1) - 0.01 * (repeats[0] - count)
                row |= {score: value, f"{score}_low": value - 0.02, f"{score}_high": value + 0.04}
                row[f"{score}_chance"] = chance
            rows.append(row)
    return pd.DataFrame(rows)


def make_attention() -> pd.DataFrame:
    """One attention row, one of a hemisphere, one occlusion row."""
    shared = {"area": "V1", "group": "early", "vertices": 10}
    full = {"kind": "attention", "stage": "full", "layer": 3, **shared}
    return pd.DataFrame(
        [
            {**full, "hemisphere": "both", "importance_softmax": 1.234},
            {**full, "hemisphere": "left", "importance_softmax": 9.876},
            {
                "kind": "occlusion",
                "stage": "contrastive",
                **shared,
                "hemisphere": "both",
                "fall_cosine": 0.0123,
            },
        ]
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the page of a small study."""
    root = tmp_path_factory.mktemp("study") / "results" / "toy"
    (root / "tables").mkdir(parents=True)
    make_scores().to_csv(root / "tables/scores.tsv", sep="\t", index=False, na_rep="nan")
    media: dict[str, list[Path]] = {"strips": [], "clips": [], "maps": [], "controls": []}
    media |= {"attention_tables": [], "result_tables": [], "noise_ceilings": [], "exports": []}
    media |= {"agreement": [], "runs": []}
    film = [np.full((32, 64, 3), 40 * n, np.uint8) for n in range(6)]
    for subject in ("1", "2"):
        folder = root / f"sub-{subject}/neurocine/paper_main"
        for name in (
            "strips/median",
            "strips/best",
            "strips/random",
            "maps/overview",
            "controls/shifted/best",
        ):
            path = folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (60, 20), (int(subject) * 90, 20, 90)).save(path)
            media[name.partition("/")[0]].append(path)
        for kind, name in (("strips", "best"), ("strips", "random"), ("controls", "shifted/best")):
            media[kind].append(folder / kind / f"{name}.mp4")
            write_video(media[kind][-1], film, 3.0)
        for name in ("maps.dscalar.nii", "maps.json", "interactive.html"):
            media["exports"].append(folder / "maps" / name)
            media["exports"][-1].write_text("of another test")
        media["clips"].append(folder / "clips/test1.mp4")
        write_video(media["clips"][-1], film, 3.0)
        media["attention_tables"].append(folder / "maps/attention.tsv")
        make_attention().to_csv(media["attention_tables"][-1], sep="\t", index=False, na_rep="nan")
        media["result_tables"].append(folder / "clip_scores.tsv")
        media["result_tables"][-1].write_text("movie\tclip\n")
        media["noise_ceilings"].append(root / f"sub-{subject}/noise_ceiling.tsv")
        ceiling = {"group": "early", "area": "V1", "n_vertices": 12, "signal_share": 0.4, "reliability": 0.6}
        ceiling |= {"ceiling_single": 0.6325, "ceiling_mean": 0.7777}
        pd.DataFrame([ceiling]).to_csv(media["noise_ceilings"][-1], sep="\t", index=False)
        media["runs"].append(root / f"sub-{subject}/runs.tsv")
        run = {"movie": "test1", "repeat": 2, "volumes": 246, "tr_stated": 1.0, "tr_study": 2.0}
        run |= {"constant": 53, "areas_without_signal": "V1 53", "tsnr": 41.5, "repeat_correlation": 0.25}
        run |= {"best_lag_tr": 5.0, "right_side": 1.0, "marked": "another TR; early or late"}
        pd.DataFrame([run]).to_csv(media["runs"][-1], sep="\t", index=False)
        media["agreement"].append(folder / "agree_fmri.tsv")
        agreed = {"condition": "fmri", "seed": 5, "group": "early", "area": "all", "n_vertices": 24}
        agreed |= {"value": 0.44, "null_mean": 0.01, "null_p99": 0.1, "p_value": 0.003, "ci_low": 0.4}
        agreed |= {"ci_high": 0.48, "noise_ceiling": 0.7666, "n_clips": 60, "p_holds": True}
        pd.DataFrame([agreed, agreed | {"area": "V9"}]).to_csv(media["agreement"][-1], sep="\t", index=False)
    frames = {"summary": make_summary(), "comparisons": make_comparisons(), "published": make_published()}
    for name, frame in frames.items():
        frame.to_csv(root / f"tables/{name}.tsv", sep="\t", index=False, na_rep="nan")
    for name, seconds in (("decode/sub-1_paper_main_fmri", 7200), ("train_video_prior/beta0.75", 1800)):
        path = root / f"benchmarks/{name}.tsv"
        path.parent.mkdir(parents=True)
        path.write_text(f"s\tmax_rss\tcpu_time\n{seconds}\t2500\t{seconds}\n")
    make_lag_sweep().to_csv(root / "tables/lag_sweep.tsv", sep="\t", index=False)
    log = root / "sub-1/train_encoder/plain/log.jsonl"
    log.parent.mkdir(parents=True)
    lines = [{"step": 10 * n, "loss": 5.0 - n, "lr": 1.0, "seconds": n} for n in range(1, 4)]
    lines[-1]["validation"] = {"loss": 2.5}  # type: ignore[assignment]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (root / "methods.md").write_text("# Methods\n\n## Data\n\nFour <subjects> [@someone2020].\n")
    (root / "methods.bib").write_text("@article{someone2020,\n}\n")
    config = {
        "dataset": "toy <b>&</b>",
        "movies": {"train": ["seg1"], "test": ["test1"]},
        "experiments": {"paper_main": {"noise_ratio": 0.75}, "exp<00>": {"augment": False}},
        "train_encoder": {"steps": 30, "note": "</script><script>alert(1)</script>"},
    }
    files = StudyFiles(
        scores=[root / "tables/scores.tsv"],
        logs=[log],
        lag_sweep=[root / "tables/lag_sweep.tsv"],
        methods=[root / "methods.md"],
        **media,
        **{name: [root / f"tables/{name}.tsv"] for name in frames},
    )
    program.main(
        files=files,
        config=json.dumps(config),
        out=root / "browser/index.html",
        settings=BuildBrowserSettings(),
        benchmarks=root / "benchmarks",
        asked=json.dumps({"decode": {"gpus": 2, "memory_gb": 32.0}}),
    )
    return root / "browser/index.html"
