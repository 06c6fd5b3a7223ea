"""Configs: values that cannot be, alone or together, and files that YAML reads otherwise than they look."""

from collections.abc import Callable, Iterator
from pathlib import Path

from bad_inputs.table import Arguments, Row

CONFIG = "mine.yaml"
READ = "bad_inputs.read_config"  # what rules/common.smk does with config files


def config(text: str) -> Callable[[Path], Arguments]:
    """Put a config file on top of the published one."""

    def make(folder: Path) -> Arguments:
        (folder / CONFIG).write_text(text + "\n")
        return {"configfiles": [CONFIG]}

    return make


def animator(**keys: object) -> str:
    """Write an experiment of Mind-Animator."""
    return (
        f"experiments: {{mine: {{method: mind_animator{''.join(f', {k}: {v}' for k, v in keys.items())}}}}}"
    )


# Config and what is said of it.
METHODS = {
    "experiments: {mine: {method: mind_animater}}": "mind_animater.*Did you mean mind_animator",
    "experiments: {mine: {method: [ridge]}}": r'method: found \["ridge"\]; expected one of neurocine',
    "experiments: {mine: {method: null}}": "method: found null",
    "experiments: {mine: null}": "mine: found null; expected keys",
    "experiments: {mine: {variant: code}}": "a key of method mind_animator; expected keys of method neuroc",
    "experiments: {mine: {method: ridge, target: text}}": 'target: found "text"; expected one of "clip"',
    "experiments: {paper_main: {method: mind_animator}}": "merged over all config files",
    animator(variant="kode"): 'variant: found "kode"; expected one of "paper", "code"',
    animator(noise_ratio=0.5): "noise_ratio: found a key of method neurocine .*expected keys of method",
    animator(target="clip"): "target: found a key of method ridge",
    animator(without="sematic"): 'without: found "sematic"; expected one of "nothing", "semantic"',
    animator(memory_tokens=0): "memory_tokens: found 0; expected integer at least 1",
    animator(motion_from="fmr"): 'motion_from: found "fmr"',
    animator(renoise=1000): "renoise: found 1000; expected integer at least 0, at most 999",
    animator(through="vea"): 'through: found "vea"',
    "run_experiments: [paper_mian]": "run_experiments: found paper_mian.*Did you mean paper_main",
    "conditions: [fmri, features]": "conditions: found features; expected conditions of neurocine",
    "conditions: [shifted]": r'conditions: found \["shifted"\].*fmri must be among',
    "conditions: [fmri, shfted]": "conditions.*shfted",
}
ANIMATOR = {
    "train_motion: {hide: 1.5}": "hide: found 1.5; expected number at least 0, at most 1",
    "train_motion: {code_keep: -0.1}": "code_keep: found -0.1",
    "train_motion: {heads: 3, attention_width: 16}": "attention_width: found 16; expected a multiple",
    "train_semantic: {sparsify_share: 1.1}": "sparsify_share: found 1.1",
    "train_semantic: {tokens: 0}": "tokens: found 0; expected integer at least 2",
    "train_semantic: {tokens: 1}": "tokens: found 1; expected integer at least 2",
    "train_structure: {dropout: 1}": "dropout: found 1; expected number at least 0, less than 1",
    "augment_captions: {replaced: 2}": "replaced: found 2",
    "augment_captions: {deleted: -1}": "deleted: found -1",
    "augment_captions: {variants: -1}": "variants: found -1",
    "reconstruct: {steps: 5000}": "steps: found 5000; expected integer at least 1, at most 1000",
    "reconstruct: {guidance: .nan}": "guidance: found NaN",
    "reconstruct: {negative_prompt: 3}": "negative_prompt: found 3; expected string",
    "decode_features: {shift_tr: 0}": "shift_tr: found 0",
    animator() + "\nmovies: {train: [seg1, seg2], validation: [], test: [test1]}\nrun_experiments: [mine]": (
        "validation: found none; expected one movie or more"
    ),
    animator() + "\ntrain_semantic: {image_frame: 99}": r"image_frame: found 99; expected 0 to 5",
}
VALUES = {
    "seed: true": "seed: found true; expected integer",
    "seed: -1": "seed: found -1",
    "seed: 1.0": "seed: found 1.0; expected integer",
    "seed: .inf": "seed: found Infinity",
    "seed: 2020-01-01": "seed: found .*2020-01-01",
    "subjects: [true]": r"subjects\[0\]: found true",
    "subjects: [null]": r"subjects\[0\]: found null",
    'subjects: [1, "1"]': "different entries",
    "subjects: []": "at least 1",
    "subjects: 1": "subjects: found 1; expected list",
    "subjects: [010]": "line 1: found 010, which YAML reads as 8; expected decimals.*in quotes",
    "seed: 1:30": "found 1:30, which YAML reads as 90",
    "seed: 1\nseed: 2": "the key again in line 2; expected each key once",
    "train_encoder: {steps: 5, steps: 6}": "train_encoder.steps: found the key again",
    "dataset: a/b": "dataset: found",
    'dataset: "a\\n"': "dataset: found",
    "dataset: -rf": "dataset: found",
    "dataset: 7": "dataset: found 7; expected string",
    "decode: {steps: 5000}": "steps: found 5000; expected integer at least 1, at most 1000",
    "decode: {guidance: .inf}": "guidance: found Infinity",
    "decode: {shift_tr: 0}": "shift_tr: found 0",
    "decode: {clips_per_sequence: 2, every: 2}": "clips_per_sequence: found 2, with every 2",
    "repeats: {train: 100000000}": "found 100000000; expected integer at least 1, at most 1000",
    "simulate: 1": "simulate: found 1; expected true or false",
    "train_encoder: {learning_rate: 1e-3}": 'learning_rate: found "1e-3"; expected number',
    "train_encoder: {batch_size: true}": "batch_size: found true",
    "train_encoder: {betas: [0.9]}": "betas: found .*2 entries",
    "train_encoder: {stpes: 5}": "stpes.*steps",
    "compute: {gpus: -1}": "gpus: found -1",
    "compute: {memory_share: .nan}": "memory_share: found NaN",
    "preprocess_run: {crop: {245: [-1, 4]}}": "crop",
    "preprocess_run: {crop: {abc: [1, 4]}}": "crop",
    "prepare_stimuli: {frames_per_tr: 99}": "frames_per_tr: found 99; expected frames within",
    "caption_clips: {backend: file}": "caption_clips.file",
    "caption_clips: {lists: [{file: a.txt, movies: [seg1]}]}": "lists: .* caption_clips.backend is file",
    "caption_clips: {backend: file, file: a.tsv, lists: [{file: a.txt, movies: [seg1]}]}": "one of the two",
    "caption_clips: {backend: file, lists: [{file: a.txt, movies: []}]}": r"lists\[0\].movies",
    "caption_clips: {backend: file, lists: [{file: a.txt, movies: [seg1]}]}": "no captions of seg2, .*test1",
    "caption_clips: {backend: file, lists: [{file: a, movies: [x]}, {file: b, movies: [x]}]}": "x twice",
    "exclude_runs: [{subject: 1}]": r"exclude_runs\[0\].movie: found nothing",
    "exclude_runs: [{subject: 33, movie: seg1, repeat: 1, reason: late}]": "subject: found 33",
    "exclude_runs: [{subject: 3, movie: tset2, repeat: 3, reason: late}]": "tset2.*Did you mean test2",
    "movies: {train: [seg1, seg2], validation: [test1], test: [test1]}": "validation: found test1",
    "movies: {train: [seg1, test1], validation: [], test: [test1]}": "test1 in train and test",
    "generation_seeds: [3407]": "generation_seeds: found 3407",
    "train_seeds: [3407]": "train_seeds: found 3407; expected seeds other than seed",
    "train_seeds: [7, 7]": "train_seeds: found .*7.*different entries",
    "train_seeds: [-1]": r"train_seeds\[0\]: found -1",
    "train_seeds: 7": "train_seeds: found 7; expected list",
    "train_seeds: [1.5]": r"train_seeds\[0\]: found 1.5",
    "{train_seeds: [7], experiments: {exp01_train7: {}}}": "exp01_train7: found a name that train_seeds",
    "space: mni": "atlas: found null; expected a file, with space mni",
    "fmri_from: mind_vid": "fmri_from: found",
    "layout: wen2017": "layout: found",
}


def config_rows() -> Iterator[Row]:
    """Configs of CC2017."""
    for text, told in (METHODS | ANIMATOR | VALUES).items():
        yield Row(f"config {text}", READ, config(text), told)
