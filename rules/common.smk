"""What all rules share: the checked config, where files lie, and what one job does.

Evaluated again for every job on a cluster, so nothing heavy is imported and folders are at most listed.
"""

import json
import os
import re
import sys
from copy import deepcopy
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

from neurocine import result_names
from neurocine import study as studies
from neurocine.conditions import made_by
from neurocine.config import complete_config, refuse_surprises
from neurocine.datasets import data_set
from neurocine.datasets.hcp_rest import rest_run
from neurocine.errors import InputError, InputErrors
from neurocine.first_run import FirstRun, write_json
from neurocine.methods import DEFAULT, METHODS, method_of, methods_of
from neurocine.models.catalogue import PUBLISHED, used_models
from neurocine.result_names import STRIPS
from neurocine.shared import fit_to_share
from neurocine.study import Study
from neurocine.train.launch import LAUNCHER_ENVIRONMENT, launcher
from neurocine.vertex_choice import vertices_known, vertices_per_subject

# For all jobs, on cluster nodes too, where this file is evaluated again: only fetch_models asks the hub.
# Packages in a user's home directory would shadow those of the environments.
os.environ.update(HF_HUB_OFFLINE="1", PYTHONNOUSERSITE="1")


def asked_for(*targets):
    """Say whether this run makes nothing but these.

    Snakemake reads this file before it knows the targets, so the command line itself is looked at; in a job it
    has the form ``--target-jobs fetch_models:``.
    """
    return any(word.removesuffix(":") in targets for word in sys.argv[1:])


def to_find():
    """What must be there for what is asked for: fetching networks needs no data, checking recordings no networks."""
    if asked_for("fetch_models"):
        return ()
    return ("recordings",) if asked_for("check_recordings") else ("recordings", "rest", "models")


if str(CHECKOUT / "config.yaml") not in map(str, workflow.configfiles):
    # A module that was given its config: what that leaves out is as in the published study, here too.
    given = deepcopy(config)
    update_config(config, yaml.safe_load((CHECKOUT / "config.yaml").read_text()))
    update_config(config, given)

try:
    if workflow.is_main_process:  # once; jobs get the config that it read
        refuse_surprises(map(Path, workflow.configfiles))
    config.update(data_set(config).own_keys(config))
    config.update(complete_config(config))
    # The networks of the embedded study come with the workflow, wherever the study lies.
    LOCATED = {name: of_checkout(folder) if folder else folder for name, folder in config["models"].items()}
    FIRST_RUN = Path(f"results/{config['dataset']}/first_run.json")
    REST_FILES = Path(f"results/{config['dataset']}/.state/rest_files.json")
    STUDY = Study.find(
        {**config, "models": LOCATED},
        to_find(),
        FirstRun.read(FIRST_RUN),
        None if workflow.is_main_process else studies.kept_rest_runs(config, REST_FILES),
    )
except InputError as error:
    raise WorkflowError(str(error)) from None

DATASET = config["dataset"]
SUBJECTS = config["subjects"]
TRAIN, TEST = config["movies"]["train"], config["movies"]["test"]
MOVIES = TRAIN + TEST
REST = STUDY.rest
EVERY_REST_RUN = [path for files in REST.values() for path in files]
SIMULATED = config["simulate"]
# Those of the config, and each of them again with every seed of train_seeds.
EXPERIMENTS = studies.repeated_rows(config, config["experiments"])
USED_METHODS = methods_of(EXPERIMENTS)
FMRI_FROM = config["fmri_from"]
FROM_RUNS = FMRI_FROM == "runs"
# Vertices chosen by reliability or by others differ between subjects, and so does all that is made of them.
OWN_VERTICES = not FROM_RUNS or vertices_per_subject(config)
PLACED = vertices_known(config)
# Each k-th vertex stands for its neighbours; vertices chosen by reliability stand for themselves.
THINNED = FROM_RUNS and config["select_vertices"]["every"] > 1 and not vertices_per_subject(config)
MODELS = used_models(LOCATED, config["caption_clips"]["backend"])
SCORING_NETWORKS = {name: folder for name, folder in MODELS.items() if PUBLISHED[name].scores}


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


def kept(what, path):
    """A file that is deleted once all that needs it is made, where the config does not keep such files.

    What all subjects share is no such file, but for rest runs: made again for one more subject, it would be a reason
    to make all others' results again.
    """
    return path if config["keep"][what] else temp(path)


def if_made(path):
    """A file that is shown where an earlier run made it, and that nothing asks for."""
    return [path] if Path(path).is_file() else []


# Settings and resources


def settings(step):
    """The config section of a step, as the JSON its program takes."""
    return json.dumps(config[step], sort_keys=True)


# Results come before further trainings, and what most steps wait for comes first: all cores work to the end.
PRIORITY = {"decode": 30, "score": 20, "test_order": 10}

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
# What a training requests: resources and not params, because another number of GPUs must not train again.
ON_GPUS = {
    "gpu": config["compute"]["gpus"],
    "nodes": config["compute"]["nodes"],
    "launcher": launcher(**{key: config["compute"][key] for key in ("gpus", "nodes", "threads")}),
    "device": DEVICE,
}
os.environ.update(LAUNCHER_ENVIRONMENT)


def row_of(experiment, method):
    """The settings of an experiment, if they are of this method: a path may name another one."""
    try:
        return studies.row_of(config, experiment, method)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def one_of(names):
    return "|".join(map(re.escape, map(str, names))) or "(?!)"


CONDITIONS = config["conditions"]
CHECKED_MODELS = [name for name in MODELS if PUBLISHED[name].pretrained]
# Rules that read a network take the report of its check, which is made again when one of its files changes and has
# their hash: one input in the place of ten, at each of which Snakemake would look for every job.
MODEL_FILES = {
    name: [results(f"check_models/{name}.tsv")] if name in CHECKED_MODELS else files
    for name, files in STUDY.models.items()
}


include: "inputs/common.smk"


wildcard_constraints:
    subject=one_of(SUBJECTS),
    batch=one_of(STUDY.batches),
    rest=one_of(REST),
    rest_batch=one_of(STUDY.rest_batches),
    experiment=one_of(EXPERIMENTS),
    network=one_of(CHECKED_MODELS),
    method=one_of(method.name for method in USED_METHODS),
    baseline=one_of(made_by("make_baselines")),
