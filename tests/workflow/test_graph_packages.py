"""What Snakemake would do where preprocessed packages take the place of runs. Nothing is run here."""

import re
from pathlib import Path

from plans import TOY, planned

from workflow_copy import snakemake


def write_package(folder: Path, names: tuple[str, ...]) -> Path:
    """Files that a dry run looks for and does not open."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


MIND_VIDEO = tuple(f"preprocessed/fmri_{part}_subject{s}.npy" for part in ("train", "test") for s in (1, 3))


OF_RUNS = {"preprocess_run", "select_vertices", "simulate_subject_1", "simulate_subject_3"}


OF_PLACES = {"extract_attention", "plot_surface", "export_maps"}


def test_a_package_takes_the_place_of_runs(checkout: Path, tmp_path: Path) -> None:
    """All of a subject is its own, for vertices differ; there are no maps where nobody knows the vertices."""
    package = write_package(tmp_path / "package", MIND_VIDEO)
    mine = tmp_path / "mine.yaml"
    # Its training runs are means of two repeats, of which the toy study takes a random one.
    text = f"fmri_from: mind_video\npackage: {{dir: {package}}}\nassemble_train: {{repeats: mean}}\n"
    mine.write_text(text)
    run = snakemake(checkout, "-n", *TOY, str(mine))
    assert "pretrain_on: found rest; expected training_fmri or published" in run.stdout + run.stderr
    mine.write_text(text + "pretrain_on: training_fmri\n")
    jobs = planned(checkout, *TOY, str(mine))
    assert not jobs.keys() & (OF_RUNS | OF_PLACES | {"preprocess_hcp"})
    for name in (
        "import_fmri",
        "import_fmri_test",
        "assemble_test",
        "measure_noise_ceiling",
        "pretrain_encoder",
        "decode",
    ):
        assert name in jobs
    assert jobs["import_fmri"] == jobs["assemble_train"] == jobs["pretrain_encoder"] == 2
    assert jobs["train_video_prior"] == jobs["build_browser"] == 1
    assert planned(checkout, "sub_3", *TOY, str(mine))["import_fmri"] == 1


def test_a_package_with_a_mask_gives_maps_and_rest(checkout: Path, tmp_path: Path) -> None:
    package = write_package(tmp_path / "package", (*MIND_VIDEO, "mask1.npy", "mask3.npy"))
    mine = tmp_path / "mine.yaml"
    masks = f"{{1: {package}/mask1.npy, 3: {package}/mask3.npy}}"
    mine.write_text(
        f"fmri_from: mind_video\npackage: {{dir: {package}, vertex_masks: {masks}}}\n"
        "assemble_train: {repeats: mean}\n"
    )
    jobs = planned(checkout, *TOY, str(mine))
    assert not jobs.keys() & OF_RUNS
    assert jobs["import_fmri"] == jobs["extract_attention"] == jobs["plot_surface"] == 2
    assert jobs["preprocess_hcp"] == 2
    run = snakemake(checkout, "-n", "sub_3", *TOY, str(mine))
    assert "package/mask3.npy" in run.stdout + run.stderr
    assert "package/mask1.npy" not in run.stdout.partition("rule import_fmri")[2].partition("output:")[0]


def test_arrays_bring_their_places_and_single_repeats(checkout: Path, tmp_path: Path) -> None:
    names = ("fmri_train.npy", "fmri_train_rep.npy", "fmri_test.npy", "vertex_index.npy", "roi.npy")
    package = write_package(tmp_path / "package", tuple(f"sub-{s}/{name}" for s in (1, 3) for name in names))
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"fmri_from: arrays\npackage: {{dir: {package}}}\nsubjects: [1]\n")
    run = snakemake(checkout, "-n", *TOY, str(mine))
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    places = ["vertex_index.npy", "roi.npy"]
    for rule, names in (("import_fmri", ["fmri_train_rep.npy"]), ("import_fmri_test", ["fmri_test.npy"])):
        (inputs,) = re.findall(rf"rule {rule}:\n +input: (.*)", said)
        of_package = [Path(path).name for path in inputs.split(", ") if str(package) in path]
        assert of_package == [*names, *places]
    assert "rule plot_surface" in said


def test_absent_packages_make_one_message(checkout: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("fmri_from: neuroclips\npretrain_on: training_fmri\n")
    run = snakemake(checkout, "-n", *TOY, str(mine))
    said = run.stdout + run.stderr
    assert run.returncode != 0
    assert "package neuroclips: 4 files are missing" in said
    assert "data/package/subj03_test_fmri.pt" in said
    assert "Traceback" not in said
