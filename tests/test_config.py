"""The config: defaults, checks and their messages, agreement with the library, the reference page."""

import copy
import importlib
import json
import math
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml

from neurocine.config import complete_config, refuse_surprises
from neurocine.config_reference import config_page, make_schema, schema_text
from neurocine.diffusion.sampling import ALIASES, DETERMINISTIC, scheduler_class
from neurocine.errors import InputError, InputErrors
from neurocine.schema import default_of, fill_defaults, merge, read_schema
from neurocine.schema_words import resolve
from neurocine.section_checks import SECTION_CHECKS
from neurocine.settings import Settings, parse_settings
from neurocine.vertex_choice import vertices_known

ROOT = Path(__file__).parents[1]
SCHEMA = read_schema()
STEPS = [key for key, node in SCHEMA["properties"].items() if node.get("x-step")]
LATE = {"subject": 1, "movie": "test1", "reason": "late"}
STUDIES = ("config.yaml", "studies/toy/config.yaml", "tests/micro/config.yaml")


def read_study(name: str) -> dict[str, Any]:
    """The config as Snakemake hands it over: config.yaml with the study's keys on top."""
    published = yaml.safe_load((ROOT / "config.yaml").read_text())
    return merge(published, yaml.safe_load((ROOT / name).read_text()))


def with_value(path: str, value: Any) -> dict[str, Any]:
    """The published config with one value changed."""
    config = read_study("config.yaml")
    *sections, key = path.split(".")
    inside = config
    for section in sections:
        inside = inside.setdefault(section, {})
    inside[key] = value
    return config


def message(path: str, value: Any) -> str:
    with pytest.raises(InputErrors) as raised:
        complete_config(with_value(path, value))
    return str(raised.value)


def settings_class(step: str) -> type[Settings]:
    """The class that a step's program takes as --settings."""
    return typing.get_type_hints(importlib.import_module(step).main)["settings"]


@pytest.mark.parametrize("name", STUDIES)
def test_studies_are_valid_and_their_settings_accepted_by_every_program(name: str) -> None:
    config = complete_config(read_study(name))
    for step in STEPS:
        parsed = parse_settings(settings_class(step), json.dumps(config[step]), step)
        assert json.loads(json.dumps(parsed.model_dump())) == config[step]


def test_programs_and_sections_have_the_same_names() -> None:
    programs = {path.stem for path in (ROOT / "workflow_scripts").glob("*.py")}
    # What decodes captions has the settings of decode, exported maps those of plot_surface, the text none.
    assert programs - {
        "decode_captions",
        "decode_nearest",
        "predict_captions",
        "export_maps",
        "write_methods",
    } == set(STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_defaults_and_checks_are_those_of_the_program(step: str) -> None:
    kind = settings_class(step)
    node = resolve(SCHEMA["properties"][step], SCHEMA)
    assert default_of(node, SCHEMA) == json.loads(json.dumps(kind().model_dump()))
    assert node.get("x-checks", []) == [check.__name__ for check in kind.checks]
    assert {SECTION_CHECKS[check.__name__] for check in kind.checks} == set(kind.checks)


def test_schedulers_are_named_with_and_without_their_ending() -> None:
    for name in {*DETERMINISTIC, *ALIASES}:
        assert scheduler_class(name) is scheduler_class(f"{name}Scheduler")
        assert complete_config(with_value("decode.scheduler", f"{name}Scheduler"))


def nodes(node: dict[str, Any], where: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every key of the schema with its node."""
    node = resolve(node, SCHEMA)
    found = []
    for key, child in node.get("properties", {}).items():
        found += [(f"{where}{key}", child), *nodes(child, f"{where}{key}.")]
    for more in (node.get("additionalProperties"), node.get("items")):
        if isinstance(more, dict):
            found += nodes(more, f"{where}*.")
    return found


def test_every_key_has_a_sentence_and_no_section_takes_unknown_keys() -> None:
    for where, node in nodes(SCHEMA):
        whole = resolve(node, SCHEMA)
        text = whole["description"]
        assert text.endswith("."), f"{where} has no sentence"
        assert len(text.split()) > 3, f"{where} has a label, no sentence"
        if "properties" in whole:
            closed = (whole.get("additionalProperties"), whole.get("unevaluatedProperties"))
            assert False in closed, f"{where} takes unknown keys"


def test_published_config_states_the_defaults() -> None:
    config = read_study("config.yaml")
    for key in ("seed", "run_experiments", "movies_per_job", "compute", "rest"):
        default = default_of(SCHEMA["properties"][key], SCHEMA)
        stated = config[key]
        assert (default | stated if isinstance(stated, dict) else stated) == default, key


def test_defaults_fill_what_was_left_out_and_nothing_else() -> None:
    config = with_value("decode.steps", 7)
    before = copy.deepcopy(config)
    filled = complete_config(config)
    assert config == before
    assert filled["decode"]["steps"] == 7
    assert filled["decode"]["guidance"] == 12.5
    assert filled["subjects"] == ["1", "2", "3"]
    assert filled["experiments"]["exp00"]["augment"] is False


def test_a_default_beside_a_reference_changes_single_keys_inside() -> None:
    schema = {
        "properties": {"step": {"$ref": "#/$defs/loop", "default": {"steps": 5}}},
        "$defs": {"loop": {"properties": {"steps": {"default": 1}, "rate": {"default": 0.1}}}},
    }
    assert fill_defaults({}, schema, schema) == {"step": {"steps": 5, "rate": 0.1}}
    assert fill_defaults({"step": {"rate": 2}}, schema, schema) == {"step": {"steps": 5, "rate": 2}}
    assert fill_defaults({"step": {"steps": 3}}, schema, schema) == {"step": {"steps": 3, "rate": 0.1}}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("train_encoder.stepz", "train_encoder.stepz: found an unknown key"),
        ("train_encoder.stepz", "Did you mean steps?"),
        ("trainencoder", "Did you mean train_encoder?"),
        ("movies.tests", "Did you mean test?"),
        ("experiments.exp01.spatial_ration", "Did you mean spatial_ratio?"),
        ("compute.quux", "Known keys here: gpus, nodes, threads, memory_share, time_share."),
    ],
)
def test_unknown_key_names_the_nearest_known_one(path: str, expected: str) -> None:
    assert expected in message(path, 1)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("experiments.exp01.spatial_ratio", 1.2, "found 1.2; expected number at least 0, at most 1"),
        ("experiments.exp01.noise_ratio", -0.1, "at least 0"),
        ("seed", "many", "expected integer"),
        ("decode.scheduler", "DDMI", "expected string matching ^(DDIM|"),
        ("train_video_prior.sample_scheduler", "LCM", "expected string matching ^(DDIM|"),
        ("decode", {"every": 2, "clips_per_sequence": 4}, "clips_per_sequence: found 4, with every 2"),
        ("decode.steps", 0, "expected integer at least 1, at most 1000 in steps"),
        ("subjects", [], "expected list of at least 1 different entries"),
        ("pretrain_on", "sleep", 'expected one of "rest", "training_fmri"'),
        ("movies.train", ["seg1", "test1"], "test1 in train and test"),
        ("movies.validation", ["seg99"], "expected movies of movies.train"),
        ("exclude_runs", [LATE | {"repeat": 11}], "exclude_runs[0].repeat: found 11; expected at most 10"),
        ("exclude_runs", [LATE | {"repeat": 1, "subject": 11}], "exclude_runs[0].subject: found 11"),
        ("run_experiments", ["paper_mian"], "Did you mean paper_main?"),
        ("experiments.own", {"spatial_ratio": 0.20004}, "numbers almost those of paper_main"),
        ("prepare_stimuli.clips_per_movie", 100, "preprocess_run.crop.245: found 240 samples left"),
        ("pretrain_encoder.heads", 7, "7 heads for a width of 1024"),
        ("train_encoder.validate_every", 0, "patience"),
        ("train_encoder.gradient_accumulation", 5, "batch_size"),
        ("extract_attention.layers", [1, 30], "at most 24"),
        ("caption_clips.backend", "file", "caption_clips.file"),
        ("prepare_stimuli.frames_per_tr", 9, "prepare_stimuli.frames_per_tr"),
        ("space", "mni", "atlas: found null; expected a file, with space mni"),
        ("space", "mni", "pretrain_on: found rest"),
        ("atlas_labels", "names.tsv", "null with space cifti"),
        ("fmri_from", "neuroclips", "pretrain_on: found rest; expected training_fmri or published"),
        ("package.vertex_masks", {"1": "mask.npy"}, "found files of subject 1; expected none"),
    ],
)  # fmt: skip
def test_wrong_values_are_told_with_place_and_remedy(path: str, value: Any, expected: str) -> None:
    assert expected in message(path, value)


def test_keys_given_twice_are_refused_with_file_and_line(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "decode: {steps: 5, steps: 7}\nexclude_runs:\n  - {movie: a, movie: b}\ndecode: {every: 2}\n"
    )
    with pytest.raises(InputErrors) as raised:
        refuse_surprises([ROOT / "config.yaml", mine])
    assert [problem.where for problem in raised.value.problems] == [
        f"{mine}: decode.steps", f"{mine}: exclude_runs[0].movie", f"{mine}: decode"
    ]  # fmt: skip
    assert [problem.found[-6:] for problem in raised.value.problems] == ["line 1", "line 3", "line 4"]
    refuse_surprises(ROOT / name for name in STUDIES)


def test_all_problems_are_told_at_once() -> None:
    config = with_value("decode.steps", 0)
    config["seed"] = -1
    with pytest.raises(InputErrors) as raised:
        complete_config(config)
    assert [problem.where for problem in raised.value.problems] == ["decode.steps", "seed"]


def of_package(**changes: Any) -> dict[str, Any]:
    """The published config with the fMRI of a package and its movies from 1 to 18."""
    return merge(with_value("fmri_from", "mind_video"), changes)


def test_a_package_fixes_what_runs_leave_open() -> None:
    config = complete_config(of_package(pretrain_on="training_fmri"))
    assert not vertices_known(config)
    # With a mask rest runs can be read, and the length of runs is nobody's concern.
    masks = {"vertex_masks": {1: "1.npy", 2: "2.npy", 3: "3.npy"}}
    masked = of_package(package=masks, prepare_stimuli={"clips_per_movie": 100})
    assert vertices_known(complete_config(masked))
    assert vertices_known(complete_config(of_package(fmri_from="arrays")))
    for changes, expected in (
        (
            {"fmri_from": "arrays", "package": masks},
            "found files of subject 1, 2, 3; expected none with fmri_from",
        ),
        ({"package": {"vertex_masks": {1: "1.npy"}}}, "expected a file of each subject: 1, 2, 3"),
        ({"movies": {"train": ["seg2", "seg1"], "validation": []}}, "found seg2, seg1; expected seg1, seg2"),
        ({"space": "mni"}, "cifti with fmri_from mind_video"),
        ({"assemble_test": {"repeats": 3}}, "found 3; expected mean with fmri_from mind_video"),
    ):
        with pytest.raises(InputErrors, match=expected):
            complete_config(of_package(**changes))


def test_schema_and_reference_page_are_current() -> None:
    schema = make_schema()
    assert (ROOT / "schemas/config.schema.yaml").read_text() == schema_text(schema), "run: make docs"
    assert (ROOT / "docs/config.md").read_text() == config_page(schema), "run: make docs"


def test_keys_of_all_trainings_stand_once() -> None:
    text = (ROOT / "schemas/config.schema.yaml").read_text()
    shared = SCHEMA["$defs"]["all_trainings"]["properties"]
    assert len(shared) == 20
    for node in shared.values():
        assert text.count(node["description"][:40]) == 1, node["description"]


def test_the_workflow_reads_the_config_without_pydantic_or_the_library() -> None:
    code = (
        "import sys; import neurocine.config; "
        "print(sorted({'pydantic', 'torch', 'numpy', 'neurocine.settings'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "path",
    [
        "train_encoder.learning_rate",
        "train_encoder.steps",
        "seed",
        "compute.time_share",
        "experiments.exp01.spatial_weight",
        "train_encoder.betas",
    ],
)
def test_numbers_that_are_none_are_refused(path: str, value: float) -> None:
    given = [value, 0.9] if path.endswith("betas") else value
    place = f"{path}[0]" if path.endswith("betas") else path
    assert f"{place}: found {json.dumps(value)}; expected" in message(path, given)


def refusal(kind: type[Settings], text: str) -> InputErrors:
    with pytest.raises(InputErrors) as raised:
        parse_settings(kind, text, "--settings")
    return raised.value


@pytest.mark.parametrize("step", STEPS)
def test_programs_refuse_what_the_workflow_refuses_in_the_same_words(step: str) -> None:
    """Every key of a section gets a value of a wrong type, by hand and in the config."""
    kind = settings_class(step)
    properties = resolve(SCHEMA["properties"][step], SCHEMA)["properties"]
    # A key that may be null gets another wrong value.
    wrong = {key: None if key != "file" else 7 for key in properties}
    wrong |= {key: "half" for key, its in properties.items() if {"type": "null"} in its.get("anyOf", ())}
    by_hand = {str(p).removeprefix("--settings") for p in refusal(kind, json.dumps(wrong)).problems}
    with pytest.raises(InputErrors) as raised:
        complete_config(with_value(step, wrong))
    in_study = {str(problem).removeprefix(step) for problem in raised.value.problems}
    assert by_hand == in_study
    assert len(by_hand) == len(properties)


@pytest.mark.parametrize(
    ("step", "given", "expected"),
    [
        ("train_encoder", '{"head_norm": "no"}', 'head_norm: found "no"; expected true or false. True ends'),
        ("train_encoder", '{"steps": "7"}', 'steps: found "7"; expected integer at least 1 in steps. Train'),
        ("train_encoder", '{"steps": true}', "steps: found true; expected integer at least 1 in steps"),
        ("train_encoder", '{"steps": 7.0}', "steps: found 7.0; expected integer at least 1 in steps"),
        ("train_encoder", '{"betas": [1, 2, 3]}', "betas: found [1, 2, 3]; expected list of 2 entries"),
        ("train_encoder", '{"stepz": 7}', "stepz: found an unknown key; expected a key of docs/config.md."),
        ("train_encoder", '{"patience": 3, "validate_every": 0}', "patience: found 3; expected 0 without"),
        ("train_encoder", '{"heads": 7}', "heads: found 7 heads for a width of 1024; expected a divisor"),
        ("train_encoder", '{"steps": 1, "steps": 2}', "steps: found the key twice; expected each key once"),
        ("decode", '{"shift_tr": 0}', "shift_tr: found 0; expected a shift"),
        ("decode", '{"guidance": NaN}', "guidance: found NaN; expected number at least 0"),
        ("decode", '{"scheduler": "LCM"}', 'scheduler: found "LCM"; expected string matching ^(DDIM|'),
        ("select_vertices", '{"areas": ["V1", "V1"]}', 'areas: found ["V1", "V1"]; expected list of any'),
        ("sweep_lags", '{"lags": [1, 2]}', "lags: found [1, 2]; expected list"),
        ("preprocess_run", '{"crop": {"9": [5, 4]}}', "crop.9: found 5 + 4 volumes dropped; expected fewer"),
        ("score", '{"n_ways": [50], "top_ks": [50]}', "top_ks: found 50; expected a k below each of n_ways"),
    ],
)  # fmt: skip
def test_programs_called_by_hand_say_what_is_wrong(step: str, given: str, expected: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_settings(settings_class(step), given, "--settings")
    assert f"--settings.{expected}" in str(raised.value)


def test_programs_called_by_hand_tell_all_problems_at_once() -> None:
    error = refusal(settings_class("train_encoder"), '{"steps": 0, "head_norm": "no", "stepz": 1}')
    assert [problem.where for problem in error.problems] == [
        "--settings.steps", "--settings.head_norm", "--settings.stepz"
    ]  # fmt: skip


def test_bad_runs_stay_in_the_config_of_those_who_use_some_subjects_and_movies() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    movies = {"train": ["seg1", "seg2"], "validation": ["seg2"], "test": ["test1"]}
    bad = [
        {"subject": subject, "movie": movie, "repeat": 2, "reason": "asleep"}
        for subject in (1, 2, 3)
        for movie in ("seg1", "seg18", "test5")
    ]
    config |= {"subjects": [1], "movies": movies, "exclude_runs": bad}
    assert [run["subject"] for run in complete_config(config)["exclude_runs"]] == list("111222333")
    for key, wrong in (("subject", "4"), ("movie", "seg19")):
        config["exclude_runs"] = [bad[0] | {key: wrong}]
        with pytest.raises(InputErrors, match=rf"exclude_runs\[0\]\.{key}: found {wrong}; expected one of"):
            complete_config(config)
