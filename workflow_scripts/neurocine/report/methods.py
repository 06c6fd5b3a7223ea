"""The methods of a study as text for a paper, from its configuration and what was run."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from neurocine.costs import Cost
from neurocine.datasets import data_set
from neurocine.methods import method_of
from neurocine.models.catalogue import PUBLISHED, used_models
from neurocine.report.study import TrainingLog
from neurocine.result_names import area_tables
from neurocine.version import code_version, package_versions

BIDS = "1.10.0"  # version of the standard whose keys dataset_description.json has
# Key of the config section ``models`` -> key in references.bib.
CITED = {
    "clip": "radford2021clip",
    "blip": "li2022blip",
    "lavis": "li2022blip",
    "stable_diffusion": "rombach2022",
    "image_classifier": "dosovitskiy2021vit",
    "video_classifier": "tong2022videomae",
    "vifi": "rasheed2023vifi",
    "lpips": "zhang2018lpips",
}


@dataclass(frozen=True)
class Ran:
    """What is known of a study only after it ran.

    Parameters
    ----------
    vertices : subject -> number of vertices that were decoded; the subject ``all`` where they share them
    logs : of all trainings
    costs : time per stage and subject
    commits : repository -> commit that was downloaded, where it was recorded
    rest_subjects : number of subjects whose rest runs the encoder was pretrained on
    metrics : that were scored; those of the configuration when empty
    """

    vertices: Mapping[str, int] = field(default_factory=dict)
    logs: Sequence[TrainingLog] = ()
    costs: Sequence[Cost] = ()
    commits: Mapping[str, str] = field(default_factory=dict)
    rest_subjects: int = 0
    metrics: Sequence[str] = ()


class MethodsText(NamedTuple):
    """The methods of a study.

    Parameters
    ----------
    text : Markdown with citations ``[@key]``
    references : that the text cites, BibTeX
    description : what made the results and from what, content of dataset_description.json
    """

    text: str
    references: str
    description: dict[str, Any]


def words(values: Iterable[Any]) -> str:
    """List values as a sentence does: ``a, b and c``."""
    *first, last = [str(value) for value in values] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def plain(value: float) -> str:
    """Write a number as briefly as it is exact, to three digits."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def times(count: int) -> str:
    """Say how often a movie was shown."""
    return {1: "shown once", 2: "each shown twice"}.get(count, f"each shown {count} times")


@cache
def environment() -> Environment:
    """Return the templates of the text, which is not HTML: nothing is escaped."""
    loader = PackageLoader("neurocine", "report/templates")
    # No autoescape: Markdown. The page that shows the text escapes it.
    texts = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    texts.filters |= {"words": words, "plain": plain, "times": times}
    return texts


def step_counts(logs: Iterable[TrainingLog]) -> dict[str, str]:
    """Say how many optimiser steps each kind of training took: ``1000``, or ``800 to 1200``."""
    counts: dict[str, set[int]] = {}
    for log in logs:
        last = [int(number) for number in re.findall(r'^{"step": (\d+)', log.text, re.MULTILINE)]
        counts.setdefault(log.step, set()).update(last[-1:])
    ranges = {step: (min(some), max(some)) for step, some in counts.items() if some}
    return {step: str(a) if a == b else f"{a} to {b}" for step, (a, b) in ranges.items()}


def networks(config: Mapping[str, Any], commits: Mapping[str, str]) -> list[dict[str, str]]:
    """List the networks that a study uses as they are: what, source, licence and reference."""
    listed = []
    for key in used_models(config["models"], config["caption_clips"]["backend"]):
        network = PUBLISHED[key]
        source = str(config["fetch_models"].get(key) or network.repository)
        repository = source.partition("@")[0]
        source = f"{repository}@{commits[repository]}" if repository in commits else source
        listed.append(
            {"what": network.what, "source": source, "licence": network.licence, "cite": CITED.get(key, "")}
        )
    return listed


def describe_dataset(config: Mapping[str, Any], commits: Mapping[str, str]) -> dict[str, Any]:
    """Describe a study's results as BIDS describes derivatives: what made them, and from what.

    Parameters
    ----------
    config : the study's complete configuration
    commits : repository -> commit that was downloaded, where it was recorded
    """
    sources: list[dict[str, str]] = []
    data = data_set(config)
    if data.doi and not config["simulate"]:
        sources.append(
            {"DOI": f"doi:{data.doi}", "Description": ", ".join(filter(None, (data.title, data.licence)))}
        )
    if config["pretrain_on"] == "rest" and not config["simulate"]:
        terms = "rest runs of the Human Connectome Project, under its data use terms"
        sources.append({"URL": "https://www.humanconnectome.org", "Description": terms})
    # The embedded study's networks are its own.
    used = [] if config["simulate"] else networks(config, commits)
    return {
        "Name": f"{config['dataset']}: video reconstructed from fMRI",
        "BIDSVersion": BIDS,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "neurocine", "Version": code_version()}],
        "SourceDatasets": sources,
        "Networks": [{"Name": n["what"], "Source": n["source"], "License": n["licence"]} for n in used],
    }


def references(text: str, of_data: str = "") -> str:
    """Return the BibTeX entries of the keys that a text cites as ``[@key]``, in the order of the list.

    Parameters
    ----------
    text : that cites
    of_data : entry of the data set, which may stand in the list too

    Raises
    ------
    KeyError : a key that is not in references.bib
    """
    bibliography = (Path(__file__).parent / "templates/references.bib").read_text(encoding="utf-8")
    pattern = re.compile(r"^(@\w+{(\w+),\n.*?^}\n)", re.MULTILINE | re.DOTALL)
    entries = {key: body for body, key in pattern.findall(bibliography)}
    entries |= {key: body for body, key in pattern.findall(of_data + "\n") if key not in entries}
    cited = set(re.findall(r"\[@(\w+)\]", text))
    if unknown := cited - set(entries):
        raise KeyError(f"no reference for {words(sorted(unknown))}")
    return "".join(body for key, body in entries.items() if key in cited)


def write_methods(config: Mapping[str, Any], experiments: Sequence[str], ran: Ran) -> MethodsText:
    """Write the methods of a study.

    Parameters
    ----------
    config : the study's complete configuration
    experiments : names of those that were run
    ran : what is known only afterwards

    Returns
    -------
    text, the references that it cites, and the description of the results
    """
    rows: dict[str, dict[str, Any]] = {}
    for name in experiments:
        rows.setdefault(method_of(config["experiments"][name]).name, {})[name] = config["experiments"][name]
    data = data_set(config)
    movies = data.find(config, with_runs=False).movies.values()
    metrics = list(ran.metrics or config["score"]["metrics"])
    text = (
        environment()
        .get_template("methods.md")
        .render(
            config=config,
            version=code_version(),
            data=data,
            cc2017=data.published and not config["simulate"],
            trs=sorted({movie.tr for movie in movies}),
            minutes=sorted({round(movie.n_clips * movie.tr / 60, 2) for movie in movies}),
            train=config["movies"]["train"],
            validation=config["movies"]["validation"],
            test=config["movies"]["test"],
            vertices=ran.vertices,
            networks=networks(config, ran.commits),
            methods=rows,
            steps=step_counts(ran.logs),
            rest_subjects=ran.rest_subjects,
            metrics=metrics,
            areas=any(area_tables(config, method_of(config["experiments"][name])) for name in experiments),
            accuracies=any(name.startswith(("acc_image", "acc_video")) for name in metrics),
            versions=package_versions(),
            jobs=sum(cost.jobs for cost in ran.costs),
            hours=sum(cost.hours for cost in ran.costs),
            gpu_hours=sum(cost.gpu_hours for cost in ran.costs),
        )
    )
    text = re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
    return MethodsText(text, references(text, data.bibtex), describe_dataset(config, ran.commits))
