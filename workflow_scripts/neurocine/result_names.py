"""Names of the conditions and files that a subject gets under an experiment, from the config and the method.

Rules ask this for every job, so nothing heavy is imported. Where results lie is the rules' business; here
files are named relative to the folder of a result.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from neurocine.conditions import made_by
from neurocine.methods import Method
from neurocine.vertex_choice import vertices_known

Config = Mapping[str, Any]
SHOWN = ("random", "best", "median", "worst")  # choices of clips, one sheet and one film each
# Steps that examine a scored result further, each a table of its name; the config chooses among them.
EVALUATIONS = ("test_order", "agree_fmri", "rank_areas")
STRIPS = tuple(f"strips/{choice}.{kind}" for choice in SHOWN for kind in ("png", "mp4"))


def conditions_among(config: Config, names: Iterable[str]) -> list[str]:
    """List those of the conditions that the study asks for."""
    return [name for name in names if name in config["conditions"]]


def decoded_from_fmri(config: Config, method: Method) -> list[str]:
    """List what a method decodes from fMRI under each experiment: conditions, and fmri with other seeds."""
    return conditions_among(config, method.fmri_conditions) + generations(config, method)[1:]


def generations(config: Config, method: Method) -> list[str]:
    """Name the clips decoded from the fMRI of the clip itself: fmri, and the same with other seeds."""
    return ["fmri", *(f"fmri_seed{seed}" for seed in config["generation_seeds"] if method.draws)]


def shown_controls(config: Config, method: Method) -> list[str]:
    """List the conditions that are shown beside fMRI; the VAE's clips are scored but lie in no file."""
    by_encoder = method.encoder_conditions
    made = {*method.fmri_conditions, *method.text_conditions, *made_by("make_baselines"), *by_encoder}
    return [name for name in config["conditions"] if name in made and name != "fmri"]


def control_strips(config: Config, method: Method) -> list[str]:
    """Name the sheets and films of the conditions that are shown beside fMRI."""
    return [
        f"controls/{name}/{choice}.{kind}"
        for name in shown_controls(config, method)
        for choice in SHOWN
        for kind in ("jpg", "mp4")
    ]


def clip_films(config: Config) -> list[str]:
    """Name the films of whole decoded movies."""
    return [f"clips/{movie}.mp4" for movie in config["movies"]["test"]]


def result_maps(config: Config, method: Method) -> list[str]:
    """Name the brain maps of a result: the method's, its areas, and its agreement with the measured brain."""
    areas = ["maps/rank_areas.png"] if area_tables(config, method) else []
    agreement = ["maps/agree_fmri.png"] if evaluation_tables(config, "agree_fmri") else []
    return [*method.maps(config), *areas, *(agreement if vertices_known(config) else [])]


def evaluation_tables(config: Config, *steps: str) -> list[str]:
    """Name the tables of those of these evaluations that the study asks for."""
    return [f"{step}.tsv" for step in steps if step in config["evaluate"]]


def area_tables(config: Config, method: Method) -> list[str]:
    """Name the table of the areas that a method decodes from, where its networks and the vertices tell."""
    known = method.ranks_areas and vertices_known(config)
    return evaluation_tables(config, "rank_areas") if known else []


def result_files(config: Config, method: Method) -> list[str]:
    """Name what a subject gets under an experiment: decoded clips, scores, pictures, films and brain maps.

    What is kept is named, because Snakemake makes a deleted file again only if it is asked for. Of the films
    of a control one stands for all: they are made together, and would be half of all files that Snakemake
    looks at when it starts.
    """
    decoded = decoded_from_fmri(config, method) if config["keep"]["decoded"] else []
    return [
        *(f"{method.step}/{name}.safetensors" for name in decoded),
        *("scores.tsv", "clip_scores.tsv"),
        *evaluation_tables(config, "test_order", "agree_fmri"),
        *clip_films(config),
        *STRIPS,
        *(f"controls/{name}/{SHOWN[0]}.jpg" for name in shown_controls(config, method)),
        *method.tables(config),
        *area_tables(config, method),
        *result_maps(config, method),
        *method.exports(config),
    ]
