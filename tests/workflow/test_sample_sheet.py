"""A lab's own recordings: the section of docs/data.md, followed to the letter with simulated fMRI."""

import csv
import re
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from neurocine.fmri.cifti import write_dtseries
from neurocine.io import open_arrays, read_arrays
from neurocine.provenance import movies_behind
from neurocine.seeds import numpy_generator
from neurocine.simulate.brain import (
    SimulateSubjectSettings,
    make_brain,
    make_tuning,
    simulate_run,
    training_covariance,
)
from neurocine.simulate.features import extract_features
from neurocine.simulate.movies import SimulateMoviesSettings, draw_movie
from workflow_copy import ROOT, copy_workflow, small_networks, snakemake

pytestmark = pytest.mark.workflow
TR, SEED = 1.5, 5
RESULTS = "results/lab"


def section() -> list[str]:
    """The indented blocks of the section."""
    text = (ROOT / "docs/data.md").read_text().partition("## Your own recording")[2]
    blocks = re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


def record(folder: Path, sheet: Path) -> None:
    """Draw the movies of a sheet and simulate its runs, at a TR of 2 s and then resampled to the sheet's."""
    rows = list(csv.DictReader(sheet.read_text().splitlines(), delimiter="\t"))
    videos, scripts, counts = {}, {}, {}
    for row in rows:
        movie, counts[row["movie"]] = row["movie"], int(row["clips"])
        if movie in videos:
            continue
        path = videos[movie] = folder / row["video"]
        path.parent.mkdir(parents=True, exist_ok=True)
        scenes = int(np.ceil(counts[movie] * TR / 2))
        drawn = SimulateMoviesSettings(clips_per_movie=scenes, size=32, fps=12)
        scripts[movie] = draw_movie(path, movie, row["part"] != "test", drawn, SEED)
    seconds = {movie: count * TR + 20 for movie, count in counts.items()}
    train = [row["movie"] for row in rows if row["part"] != "test"]
    features, space = extract_features(videos, scripts, list(dict.fromkeys(train)), seconds)
    for subject in dict.fromkeys(row["subject"] for row in rows):
        settings = SimulateSubjectSettings()
        covariance = training_covariance([features[movie] for movie in dict.fromkeys(train)], 20)
        brain = make_brain(subject, make_tuning(subject, space, covariance, settings, SEED), settings, SEED)
        for row in (row for row in rows if row["subject"] == subject):
            clips = int(np.ceil(counts[row["movie"]] * TR / 2))
            made = SimulateSubjectSettings(
                clips_per_movie=clips, volumes={"default": clips + 6}
            )  # which start with the movie
            generator = numpy_generator(SEED, subject, row["movie"])
            bold = simulate_run(brain, features[row["movie"]], clips + 6, made, generator)
            volumes = int(row["first"]) + int(row["clips"]) + 3
            times = (np.arange(volumes) - int(row["first"]) + 0.5) * TR
            place = np.clip(times / 2 - 0.5, 0, len(bold) - 1)
            low = np.minimum(place.astype(int), len(bold) - 2)
            share = (place - low)[:, None].astype(np.float32)
            path = folder / row["run"]
            path.parent.mkdir(parents=True, exist_ok=True)
            write_dtseries(path, bold[low] * (1 - share) + bold[low + 1] * share, TR)


def test_the_section_leads_from_a_table_to_decoded_clips(tmp_path: Path) -> None:
    checkout = copy_workflow(tmp_path)
    table, config, confounds, checking = section()
    (checkout / "recordings.tsv").write_text(table)
    (checkout / "mystudy.yaml").write_text(config)
    (checkout / "small.yaml").write_text(yaml.safe_dump(small_networks()))
    assert "trans_x" in yaml.safe_load(confounds)["sheet"]["confounds"]
    assert yaml.safe_load(config)["pretrain_on"] == "training_fmri"
    record(checkout / "data/lab", checkout / "recordings.tsv")
    check, run_all = (line.split()[1:] for line in checking.splitlines())
    models = checkout / "models"
    models.rename(checkout / "later")  # the check needs no networks
    small = ("small.yaml", "--quiet", "all", "--cores", "2")
    run = snakemake(checkout, *check[: check.index("--cores")], *small)
    assert run.returncode == 0, run.stdout + run.stderr
    report = pd.read_csv(checkout / f"{RESULTS}/check_data/recordings.tsv", sep="\t")
    assert report["kind"].value_counts().to_dict() == {"run": 6, "stimulus": 3, "disk": 1}
    wrong = (checkout / "recordings.tsv").read_text().replace("\t1.5\t", "\t2.0\t")
    (checkout / "wrong.tsv").write_text(wrong)
    run = snakemake(checkout, *check[: check.index("--cores")], *small, "--config", "sheet={file: wrong.tsv}")
    said = run.stdout + run.stderr
    assert run.returncode != 0
    assert said.count("a TR of 1.5 s in its header; expected 2 s") >= 6

    (checkout / "later").rename(models)
    run = snakemake(checkout, *run_all[: run_all.index("--cores")], *small)
    assert run.returncode == 0, (run.stdout + run.stderr)[-5000:]
    frames, _ = read_arrays(checkout / f"{RESULTS}/prepare_stimuli/movie_A-movie-B.safetensors")
    assert {movie: len(clips) for movie, clips in frames.items()} == {"movie_A": 36, "movie-B": 44}
    fmri, _ = read_arrays(checkout / f"{RESULTS}/sub-02/assemble_train/fmri.safetensors")
    assert (len(fmri["movie_A"]), len(fmri["movie-B"])) == (36, 44)
    for subject in ("01", "02"):
        folder = checkout / f"{RESULTS}/sub-{subject}/neurocine/paper_main"
        assert movies_behind([folder / "decode/fmri.safetensors"]) == ["movie-B", "movie_A", "movie_C"]
        with open_arrays(folder / "decode/fmri.safetensors") as decoded:
            assert decoded.get_tensor("movie_C").shape == (14, 6, 32, 32, 3)  # every second of 28 clips
        scores = pd.read_csv(folder / "scores.tsv", sep="\t")
        assert scores["value"].notna().all()
        assert (folder / "clips/movie_C.mp4").stat().st_size > 500
    published = pd.read_csv(checkout / f"{RESULTS}/tables/published.tsv", sep="\t")
    assert (published["comparable"] == "no").all()
    assert published["reason"].str.contains("measured on cc2017, not on lab").any()
    assert "movie_C" in (checkout / f"{RESULTS}/browser/index.html").read_text()
