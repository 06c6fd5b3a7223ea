"""The micro study's own fMRI, shared as Mind-Video shares theirs, and read again in place of the runs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurocine.fmri.assemble import SubjectFmri
from neurocine.provenance import movies_behind
from workflow_copy import copy_workflow, snakemake

pytestmark = pytest.mark.workflow
PARTS = ("train", "test")


def make(folder: Path, dataset: str, *targets: str, config: str = "") -> Path:
    """Run the micro study up to these files of subject 1; return the subject's folder."""
    (folder / "mine.yaml").write_text(f"dataset: {dataset}\nsubjects: [1]\n{config}")
    subject = Path(f"results/{dataset}/sub-1")
    files = [str(subject / target) for target in targets]
    run = snakemake(
        folder, *files, "check_data", "--configfile", "tests/micro/config.yaml", "mine.yaml", "--cores", "2"
    )
    assert run.returncode == 0, (run.stdout + run.stderr)[-5000:]
    return folder / subject


def test_a_study_goes_on_from_its_own_fmri_as_a_package(tmp_path: Path) -> None:
    folder = copy_workflow(tmp_path)
    assembled = [f"assemble_subject/{part}.safetensors" for part in PARTS]
    first = make(folder, "runs", *assembled)
    package = folder / "package/preprocessed"
    package.mkdir(parents=True)
    for part, name in zip(PARTS, assembled, strict=True):
        bold = SubjectFmri.read(first / name).bold
        np.save(package / f"fmri_{part}_subject1.npy", np.stack(list(bold.values())))
    of_package = f"fmri_from: mind_video\npackage: {{dir: {package.parent}}}\npretrain_on: training_fmri\n"
    second = make(folder, "package", *assembled, "noise_ceiling.tsv", config=of_package)
    for name in assembled:
        before, after = SubjectFmri.read(first / name), SubjectFmri.read(second / name)
        assert after.movies == before.movies
        for movie, values in before.bold.items():
            np.testing.assert_allclose(after.bold[movie], values, atol=1e-5)
        assert movies_behind([second / name]) == movies_behind([first / name])
    assert not (second / "preprocess_run").exists()
    # Of means nothing is known about the noise.
    assert pd.read_csv(second / "noise_ceiling.tsv", sep="\t")["ceiling_mean"].isna().all()
    report = pd.read_csv(second.parent / "check_data/report.tsv", sep="\t")
    assert (report["kind"] == "package").sum() == 1
    assert "run" not in set(report["kind"])
    # A file of another shape ends before anything is computed.
    np.save(package / "fmri_test_subject1.npy", np.zeros((1, 11, 4), np.float32))
    run = snakemake(
        folder, "check_data", "--configfile", "tests/micro/config.yaml", "mine.yaml", "--cores", "2"
    )
    assert run.returncode != 0
    assert "fmri_test_subject1.npy: found shape (1, 11, 4); expected shape (1, 12, V)" in run.stderr
    assert "Traceback" not in run.stderr
