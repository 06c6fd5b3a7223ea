"""What all rules share: the checked config, where files lie, and what one job does.

Evaluated again for every job on a cluster, so nothing heavy is imported and folders are at most listed.
"""

import json
import math
import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# At the end of the path: the programs beside the library must not hide packages of the same name (tabulate).
sys.path.append(str(Path(workflow.basedir) / "workflow_scripts"))

from neurocine import datasets
from neurocine.conditions import made_by
from neurocine.config import complete_config, refuse_repeated_keys
from neurocine.errors import InputError, InputErrors
from neurocine.methods import DEFAULT, METHODS, method_of, methods_of
from neurocine.methods.mind_animator import motion_key
from neurocine.methods.neurocine import decoder_key, encoder_key, export_names, prior_key
from neurocine.models.catalogue import PUBLISHED, MissingModels, model_files, used_models
from neurocine.train.launch import LAUNCHER_ENVIRONMENT, launcher
from neurocine.vertex_choice import vertices_known, vertices_per_subject

# For all jobs, on cluster nodes too, where this file is evaluated again: only fetch_models asks the hub.
# Packages in a user's home directory would shadow those of the environments.
os.environ.update(HF_HUB_OFFLINE="1", PYTHONNOUSERSITE="1")

try:
    if workflow.is_main_process:  # once; jobs get the config that it read
        refuse_repeated_keys(map(Path, workflow.configfiles))
    config.update(complete_config(config))
except InputError as error:
    raise WorkflowError(str(error)) from None

DATASET = config["dataset"]
SUBJECTS = config["subjects"]
TRAIN, TEST = config["movies"]["train"], config["movies"]["test"]
MOVIES = TRAIN + TEST
SIMULATED = config["simulate"]
EXPERIMENTS = config["experiments"]
USED_METHODS = methods_of(EXPERIMENTS)
FMRI_FROM = config["fmri_from"]
FROM_RUNS = FMRI_FROM == "runs"
# Vertices chosen by reliability or by others differ between subjects, and so does all that is made of them.
OWN_VERTICES = not FROM_RUNS or vertices_per_subject(config)
PUBLISHED_ENCODER = config["pretrain_on"] == "published"
MODELS = used_models(config["models"], config["caption_clips"]["backend"])
SCORING_NETWORKS = {name: folder for name, folder in MODELS.items() if PUBLISHED[name].scores}


def only_fetching():
    """Say whether this run downloads networks, which needs no data.

    Snakemake reads this file before it knows the targets, so the command line itself is looked at; in a job it
    has the form ``--target-jobs fetch_models:``.
    """
    return any(word in ("fetch_models", "fetch_models:") for word in sys.argv[1:])


# Where files lie


def results(path):
    """A file that belongs to the whole study."""
    return f"results/{DATASET}/{path}"


def of_subject(path):
    """A file of one subject."""
    return results(f"sub-{{subject}}/{path}")


def of_vertices(path):
    """A file that depends on the vertices: of a subject where each has its own, else of the whole study."""
    return of_subject(path) if OWN_VERTICES else results(path)


def of_experiment(path):
    """A file of one subject under one experiment, whatever its method."""
    return of_subject(f"{{method}}/{{experiment}}/{path}")


def own(name, shared):
    """A name for logs and states of what depends on the vertices: with the subject where each has its own."""
    return f"sub-{{subject}}{name}" if OWN_VERTICES else shared


def log_file(path):
    return f"logs/{DATASET}/{path}.log"


def benchmark_file(path):
    return f"benchmarks/{DATASET}/{path}.tsv"


def state_dir(path):
    """Where a training keeps its resumable state: outside declared outputs, which Snakemake deletes."""
    return results(f".state/{path}")


def input_folder(name):
    """The folder of the input with this name, for programs that take a folder."""

    def folder(wildcards, input):
        return str(Path(input[name]).parent)

    return folder


def output_folder(name):
    """The folder of the output with this name, for programs that take a folder."""

    def folder(wildcards, output):
        return str(Path(output[name]).parent)

    return folder


def model_folder(name):
    """The folder of a network that is used as it is."""

    def folder(wildcards):
        return str(MODELS[name])

    return folder


def if_made(path):
    """A file that is shown where an earlier run made it, and that nothing asks for."""
    return [path] if Path(path).is_file() else []


# Settings and resources


def settings(step):
    """The config section of a step, as the JSON its program takes."""
    return json.dumps(config[step], sort_keys=True)


LEAST_MEMORY = 3  # GB, of which Snakemake itself takes some tenths beside each program on a cluster


def memory(gigabytes):
    """Memory in MB, for a study of the published size times the share in the config.

    rules/site.smk lets it grow at further tries, as far as the site's partitions allow.
    """
    return round(1000 * max(LEAST_MEMORY, gigabytes * config["compute"]["memory_share"]))


def minutes(real):
    """Time limit in minutes, likewise; rules/site.smk clips that of rules that resume."""
    return max(30, round(real * config["compute"]["time_share"]))


ONE_GPU = min(config["compute"]["gpus"], 1)
DEVICE = "cuda" if ONE_GPU else "auto"
# What a training asks for. Resources of the rules, not params: another number of GPUs is no reason to train again.
ON_GPUS = {
    "gpu": config["compute"]["gpus"],
    "nodes": config["compute"]["nodes"],
    "launcher": launcher(**{key: config["compute"][key] for key in ("gpus", "nodes", "threads")}),
    "device": DEVICE,
}
os.environ.update(LAUNCHER_ENVIRONMENT)


def asked(rule, resource):
    """The number of something that a rule asks for, else 0.

    An expression can only come from --set-resources, and who gives one says the rest as well.
    """
    value = rule.resources.get(resource)
    return 0 if value is None or value.is_evaluable() else value.value or 0


# The study's raw files


def find_study():
    """Find movies and runs; end with one message if any is missing."""
    repeats = {
        movie: config["repeats"][part] for part in ("train", "test") for movie in config["movies"][part]
    }
    excluded = [(run["subject"], run["movie"], run["repeat"]) for run in config["exclude_runs"]]
    with_runs = SUBJECTS if FROM_RUNS else []
    study = datasets.wen2018_study(
        config["data_dir"], with_runs, repeats, excluded, SIMULATED, config["space"]
    )
    if study.missing and not only_fetching():
        folders = datasets.wen2018_stimulus_folders(config["data_dir"])
        folders += datasets.wen2018_subject_folders(config["data_dir"], SUBJECTS[0])
        todo = (
            "Set data_dir in the config to the folder of the unpacked archives, name in subjects only those you "
            "have, and list runs that do not exist in exclude_runs (docs/data.md).\n"
            "To try the workflow without data: make demo"
        )
        raise datasets.MissingFiles(DATASET, study.missing, folders, todo)
    return study


def find_packages():
    """Map each subject to the files of its preprocessed package; end with one message if any is missing."""
    if FROM_RUNS or only_fetching():
        return {}
    package = config["package"]
    found = {
        subject: datasets.package_files(
            package["dir"], FMRI_FROM, subject, package["vertex_masks"].get(subject)
        )
        for subject in SUBJECTS
    }
    missing = [path for files in found.values() for path in files.values() if not path.is_file()]
    if missing:
        todo = (
            "Set package.dir and package.vertex_masks in the config, name in subjects only those of the package, "
            "or set fmri_from: runs (docs/data.md)."
        )
        raise datasets.MissingFiles(f"package {FMRI_FROM}", missing, [Path(package["dir"])], todo)
    return found


def find_rest():
    """Map each rest subject to its files; end with one message if any is missing."""
    if config["pretrain_on"] != "rest" or only_fetching():
        return {}
    rest = config["rest"]
    names = rest["subjects"]
    if names == "all":
        names = datasets.rest_subjects(rest["dir"], rest["runs"])
    excluded = set(map(str, rest["exclude"]))
    found, missing = {}, []
    for name in (name for name in map(str, names) if name not in excluded):
        for run in rest["runs"]:
            usual = datasets.rest_run(rest["dir"], name, run)
            path = usual if SIMULATED else datasets.find_rest(rest["dir"], name, run)
            found.setdefault(name, []).append(str(path or usual))
            if path is None:
                missing.append(usual)
    if missing or (rest["subjects"] == "all" and not found):
        usual = datasets.rest_run(rest["dir"], "<subject>", rest["runs"][0])
        todo = (
            "Set rest.dir in the config to the folder of HCP subjects; without access to HCP set "
            "pretrain_on: training_fmri (docs/data.md)."
        )
        raise datasets.MissingFiles("rest runs", missing or [usual], [Path(rest["dir"])], todo)
    return found


def find_models():
    """List the files of each network; end with one message if any network is missing."""
    found = {name: model_files(folder) for name, folder in MODELS.items()}
    missing = [(name, MODELS[name]) for name, files in found.items() if not files]
    if PUBLISHED_ENCODER and not Path(config["models"]["fmri_encoder"]).is_file():
        missing.append(("fmri_encoder", Path(config["models"]["fmri_encoder"])))
    # The toy models are made by the workflow itself, so they need not exist yet.
    if missing and not SIMULATED and not only_fetching():
        raise MissingModels(missing)
    return {name: files or [str(MODELS[name] / "config.json")] for name, files in found.items()}


def find_all():
    problems, found = [], []
    for look in (find_study, find_packages, find_rest, find_models):
        try:
            found.append(look())
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise WorkflowError("\n\n".join(problems)) from None
    return found


STUDY, PACKAGES, REST, MODEL_FILES = find_all()
EXCLUDED = {(run["subject"], run["movie"], run["repeat"]) for run in config["exclude_runs"]}


# What one job does


def batches(movies):
    """Cut movies into the batches that one job works on: name -> movies."""
    size = config["movies_per_job"]
    groups = [movies[start : start + size] for start in range(0, len(movies), size)]
    return {group[0] if len(group) == 1 else f"{group[0]}-{group[-1]}": group for group in groups}


TRAIN_BATCHES, TEST_BATCHES = batches(TRAIN), batches(TEST)
BATCHES = TRAIN_BATCHES | TEST_BATCHES


def train_files(path):
    """The files of all batches of training movies."""
    return expand(path, batch=TRAIN_BATCHES, allow_missing=True)


def test_files(path):
    """The files of all batches of test movies."""
    return expand(path, batch=TEST_BATCHES, allow_missing=True)


def batch_videos(wildcards):
    return [str(STUDY.stimuli[movie]) for movie in BATCHES[wildcards.batch]]


def used_runs(subject, movies):
    """The runs of a subject, without those the config excludes; none where a package takes their place."""
    runs = [
        (movie, repeat, path)
        for movie in movies
        for repeat, path in STUDY.runs.get((subject, movie), {}).items()
    ]
    return [str(path) for movie, repeat, path in runs if (subject, movie, repeat) not in EXCLUDED]


def reliability_runs(wildcards):
    """The runs by which a subject's vertices are chosen: of training movies only."""
    return used_runs(wildcards.subject, TRAIN) if OWN_VERTICES else []


def batch_runs(wildcards):
    return used_runs(wildcards.subject, BATCHES[wildcards.batch])


def excluded_runs(subject, movies):
    """``movie:repeat`` of a subject's runs that are left out."""
    runs = [run for run in config["exclude_runs"] if run["subject"] == subject]
    return [f"{run['movie']}:{run['repeat']}" for run in runs if run["movie"] in movies]


def batch_excluded(wildcards):
    return excluded_runs(wildcards.subject, BATCHES[wildcards.batch])


def package_file(name):
    """A file of the subject's package, if it has it."""

    def path(wildcards):
        return [str(path) for key, path in PACKAGES[wildcards.subject].items() if key == name]

    return path


# What packages must hold by the config.
PACKAGE = json.dumps(
    {
        "kind": FMRI_FROM,
        "train_movies": TRAIN,
        "test_movies": TEST,
        "train_repeats": config["repeats"]["train"],
        "test_repeats": config["repeats"]["test"],
        "clips_per_movie": config["prepare_stimuli"]["clips_per_movie"],
    }
)


# What an experiment asks


def row_of(experiment, method):
    """The settings of an experiment, if they are of this method: a path may name another one."""
    row = EXPERIMENTS[experiment]
    if method_of(row).name != method:
        found = f"experiment {experiment} is of method {method_of(row).name}"
        todo = f"Ask for a file in {method_of(row).name}/{experiment}/, or add an experiment of {method}."
        raise WorkflowError(
            str(InputError(f"{method}/{experiment}", found, "a path of its own method", todo))
        )
    return row


def shared_trainings(method, step):
    """The trainings of one step that experiments of a method ask for: key -> parameters."""
    rows = [row for row in EXPERIMENTS.values() if method_of(row).name == method]
    asked_for = [training for row in rows for training in METHODS[method].trainings(row, config)]
    return {training.key: training.parameters for training in asked_for if training.step == step}


def one_of(names):
    return "|".join(map(re.escape, map(str, names))) or "(?!)"


CONDITIONS = config["conditions"]
SHOWN = ("random", "best", "median", "worst")  # choices of clips, one sheet and one film each
STRIPS = [f"strips/{choice}.{kind}" for choice in SHOWN for kind in ("png", "mp4")]


def condition_of(wildcards):
    """The condition of a decoding, without the seed that may follow it."""
    return wildcards.condition.partition("_seed")[0]


def seed_of(wildcards):
    """The seed of the initial noise: the study's, or the one in the file's name."""
    return int(wildcards.condition.partition("_seed")[2] or config["seed"])


def conditions_among(names):
    """Those of the conditions that the study asks for."""
    return [name for name in names if name in CONDITIONS]


def decoded_from_fmri(method):
    """What is decoded from fMRI under each experiment of a method."""
    seeds = [f"fmri_seed{seed}" for seed in config["generation_seeds"]]
    return conditions_among(method.fmri_conditions) + seeds


def shown_controls(method):
    """The conditions that are shown beside fMRI. The VAE's clips are scored as they are made, in no file."""
    retrieved = ["retrieval"] if method.retrieves else []
    made = {*method.fmri_conditions, *method.text_conditions, *made_by("make_baselines"), *retrieved}
    return [name for name in CONDITIONS if name in made and name != "fmri"]


def control_strips(method):
    """The sheets and films of the conditions that are shown beside fMRI."""
    return [
        f"controls/{name}/{choice}.{kind}"
        for name in shown_controls(method)
        for choice in SHOWN
        for kind in ("jpg", "mp4")
    ]


def scored_clips(wildcards):
    """The files that are scored under an experiment, one per condition and seed."""
    row_of(wildcards.experiment, wildcards.method)
    method = METHODS[wildcards.method]
    return [
        *(of_experiment(f"{method.step}/{name}.safetensors") for name in decoded_from_fmri(method)),
        *(
            results(f"{{method}}/{{experiment}}/{method.step}/{name}.safetensors")
            for name in conditions_among(method.text_conditions)
        ),
        *(
            results(f"make_baselines/{name}.safetensors")
            for name in conditions_among(made_by("make_baselines"))
        ),
    ]


def shown_clips(wildcards):
    """The files whose clips are shown beside those from fMRI, one per condition."""
    controls = shown_controls(METHODS[wildcards.method])
    files = [path for path in scored_clips(wildcards) if Path(path).stem in controls]
    return [*files, *retrieved_clips(wildcards)]


def retrieved_clips(wildcards):
    """Clips retrieved by the embedding of an experiment, if they are asked for and its method has one."""
    row, method = row_of(wildcards.experiment, wildcards.method), METHODS[wildcards.method]
    asked_for = method.retrieves and "retrieval" in CONDITIONS
    return [of_subject(f"retrieve_clips/{method.retrieval(row)}.safetensors")] if asked_for else []


wildcard_constraints:
    subject=one_of(SUBJECTS),
    batch=one_of(BATCHES),
    rest=one_of(REST),
    experiment=one_of(EXPERIMENTS),
    method=one_of(method.name for method in USED_METHODS),
    baseline=one_of(made_by("make_baselines")),


# What a person asks for

# Where nobody knows which vertices were recorded, there are no areas to compare and no maps to draw.
PLACED = vertices_known(config)
# Each k-th vertex stands for its neighbours; vertices chosen by reliability stand for themselves.
THINNED = FROM_RUNS and config["select_vertices"]["every"] > 1 and not vertices_per_subject(config)


def each_result(names, experiments, subjects=SUBJECTS):
    """Files of every subject under each of the experiments.

    ``names`` is what to take of a result, or a function of the method that tells it; ``subjects`` may be the
    wildcard of one.
    """
    taken = {}
    for experiment in experiments:
        method = method_of(EXPERIMENTS[experiment])
        for name in names(method) if callable(names) else names:
            taken.setdefault(name, []).append((method.name, experiment))
    return [
        of_experiment(name).format(subject=subject, method=method, experiment=experiment)
        for name, owners in taken.items()
        for subject in subjects
        for method, experiment in owners
    ]


def maps_of(method):
    """The brain maps of a result."""
    return [*method.maps(config), *(["maps/agree_fmri.png"] if PLACED else [])]


def tables_of(method):
    return method.tables(config)


def exports_of(method):
    return method.exports(config)


def result_files(method):
    """What a subject gets under an experiment: decoded clips, scores, what there is to look at, brain maps.

    All of it is named, because Snakemake makes a deleted file again only if it is asked for.
    """
    return [
        *(f"{method.step}/{name}.safetensors" for name in decoded_from_fmri(method)),
        *("scores.tsv", "clip_scores.tsv"),
        *(f"clips/{movie}.mp4" for movie in TEST),
        *STRIPS,
        *control_strips(method),
        "agree_fmri.tsv",
        *method.tables(config),
        *maps_of(method),
        *method.exports(config),
    ]


def subject_results(subject, experiment):
    """All that one subject gets under one experiment."""
    method = method_of(EXPERIMENTS[experiment])
    found = [
        of_experiment(name).format(subject=subject, method=method.name, experiment=experiment)
        for name in result_files(method)
    ]
    further = [*method.further(EXPERIMENTS[experiment]), "noise_ceiling.tsv"]
    return [*found, *(of_subject(name).format(subject=subject) for name in further)]


def study_results(experiments, part=""):
    """The results of all subjects, the tables and the page that shows them."""
    each = [subject_results(subject, name) for subject in SUBJECTS for name in experiments]
    return [
        CHECKED,
        *sum(each, []),
        results(f"{part}tables/scores.tsv"),
        *(results(f"{part}tables/{name}.tsv") for name in ("results", "comparisons", "published")),
        results(f"{part}browser"),
    ]


def training_logs(experiments, subjects=SUBJECTS):
    """The logs of all trainings behind these experiments of subjects, or of the wildcard of one."""
    place = {"study": results, "subject": of_subject, "vertices": of_vertices}
    logs = set()
    for row in (EXPERIMENTS[name] for name in experiments):
        for training in method_of(row).trainings(row, config):
            logs.update(expand(place[training.of](f"{training.folder}/log.jsonl"), subject=subjects))
    return sorted(logs)
