"""The four trainings in small, as the command lines of their programs, and ways to run them elsewhere."""

import importlib
import json
import multiprocessing
import os
import socket
import sys
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurocine.io import write_arrays
from neurocine.models.pretrained import load_unet
from neurocine.models.structure import StructureConfig, StructureDecoder
from neurocine.models.video_unet import VideoUNet
from neurocine.provenance import stamp_weights
from tiny_models import N_TOKENS, WIDTH
from tiny_study import FRAMES, TR, VERTICES, stable_diffusion, tiny_encoder, write_fmri, write_latents

PROGRAMS = Path(__file__).parents[1] / "workflow_scripts"
NEUROCINE = ("pretrain_encoder", "train_encoder", "train_video_prior", "train_decoder")
ANIMATOR = ("train_semantic", "train_structure", "train_motion")
TRAININGS = (*NEUROCINE, *ANIMATOR)
MOVIES = ["seg1", "seg2", "seg3"]
LOOP = {"warmup_steps": 0, "precision": "no", "log_every": 1, "tensorboard": False, "learning_rate": 1e-3}
NETWORK = {"patch": 8, "depth": 1, "width": 8, "heads": 2}
DENOISING = {"gradient_checkpointing": False, "sample_clips": 1, "sample_steps": 1}


def write_embeddings(path: Path, n_frames: int) -> Path:
    """Embeddings of embed_clips with one caption per clip and ``n_frames`` embedded frames."""
    random = np.random.default_rng(0)
    arrays = {
        "text_states": random.normal(size=(5, N_TOKENS, WIDTH)).astype(np.float16),
        "null_states": np.full((N_TOKENS, WIDTH), 0.5, np.float16),
    }
    for movie in MOVIES:
        arrays[f"{movie}/state_index"] = random.integers(0, 5, (TR, 1))
        arrays[f"{movie}/text"] = random.normal(size=(TR, 1, 8)).astype(np.float32)
        arrays[f"{movie}/image"] = random.normal(size=(TR, n_frames, 8)).astype(np.float32)
    write_arrays(path, arrays, {"step": "embed_clips", "movies": MOVIES, "computed_from": MOVIES})
    return path


def write_variants(path: Path) -> Path:
    """Embeddings of embed_variants with three texts and two crops per clip."""
    random = np.random.default_rng(2)
    arrays = {"texts": random.normal(size=(7, 8)).astype(np.float16)}
    for movie in MOVIES:
        arrays[f"{movie}/variant_index"] = random.integers(0, 7, (TR, 3))
        arrays[f"{movie}/image_crops"] = random.normal(size=(TR, 2, 8)).astype(np.float16)
    write_arrays(path, arrays, {"step": "embed_variants", "movies": MOVIES, "computed_from": MOVIES})
    return path


def tiny_structure(folder: Path) -> Path:
    """A structure decoder for the clips of `write_latents`."""
    torch.manual_seed(0)
    StructureDecoder(StructureConfig(VERTICES, (4, 4, 4), width=8)).save_pretrained(folder)
    stamp_weights(folder, MOVIES, "train_structure")
    return folder


def write_trainings(folder: Path, n_frames: int = FRAMES, **loop: Any) -> dict[str, list[str]]:
    """Write the inputs of all; return program -> arguments, without state and out.

    Parameters
    ----------
    n_frames : embedded frames per clip; with one, phase 1 without augmentation draws nothing at random
    loop : settings of all trainings
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    shards = []
    for number in range(3):
        shards.append(folder / f"rest{number}.safetensors")
        bold = random.normal(size=(8, VERTICES)).astype(np.float32)
        write_arrays(shards[-1], {"bold": bold}, {"computed_from": []})
    fmri, latents = write_fmri(folder / "fmri.safetensors", MOVIES), folder / "latents.safetensors"
    write_latents(latents, MOVIES)
    embeddings = write_embeddings(folder / "embeddings.safetensors", n_frames)
    diffusion = stable_diffusion(folder / "stable_diffusion")
    VideoUNet.from_unet2d(load_unet(diffusion), clip_shape=(FRAMES, 4, 4)).save_pretrained(folder / "prior")
    tiny_encoder().save_pretrained(folder / "encoder")
    for part in ("prior", "encoder"):
        stamp_weights(folder / part, MOVIES, part)
    model = ["--stable-diffusion", diffusion, "--noise-ratio", 0.5, "--latents", latents]
    given: dict[str, tuple[list[Any], dict[str, Any]]] = {
        "pretrain_encoder": (
            ["--shards", *shards],
            NETWORK | {"decoder_width": 8, "decoder_depth": 1, "decoder_heads": 2, "shards_in_memory": 2},
        ),
        "train_encoder": (["--fmri", fmri, "--embeddings", embeddings], NETWORK | {"near_trs": 1}),
        "train_video_prior": ([*model, "--start", diffusion, "--embeddings", embeddings], DENOISING),
        "train_decoder": (
            [*model, "--fmri", fmri, "--encoder", folder / "encoder", "--prior", folder / "prior"],
            DENOISING,
        ),
    }
    # The released augmentation, in place, is what a resumed training could lose; the semantic decoder has it.
    given |= {
        "train_semantic": (
            ["--fmri", fmri, "--embeddings", embeddings, "--variant", "code"],
            {"head_widths": [8], "tokens": 3, "image_frame": 0, "code_steps": loop.get("steps", 1000)},
        ),
        "train_structure": (["--fmri", fmri, "--latents", latents, "--variant", "paper"], {"width": 8}),
        "train_motion": (
            ["--fmri", fmri, "--latents", latents, "--variant", "paper", "--memory-tokens", 2],
            {"encoder_width": 8, "feedforward_width": 8, "schedule": "exponential"},
        ),
    }
    given["train_semantic"][0].extend(["--variants", write_variants(folder / "variants.safetensors")])
    given["train_motion"][0].extend(["--motion-from", "fmri"])
    given["train_motion"][0].extend(["--structure", tiny_structure(folder / "structure")])
    settings = {"batch_size": 4, "patience": 0} | LOOP | loop
    commands = {}
    for name, (arguments, own) in given.items():
        if name != "pretrain_encoder":
            arguments += ["--validation", "seg3"]
        if name == "train_encoder":
            arguments += ["--experiment", "{}"]
        arguments += ["--train-movies", *MOVIES, "--settings", json.dumps(settings | own)]
        arguments += ["--seed", "3", "--device", "cpu"]
        commands[name] = list(map(str, arguments))
    return commands


def change(arguments: list[str], flag: str, **values: Any) -> list[str]:
    """Return the arguments with values of a JSON argument changed."""
    changed = list(arguments)
    at = changed.index(flag) + 1
    changed[at] = json.dumps(json.loads(changed[at]) | values)
    return changed


def weights(out: Path) -> dict[str, bytes]:
    """Bytes of every file of weights of a training."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.safetensors"))}


def losses(out: Path) -> list[tuple[int, float]]:
    """Step and loss of every line of the log."""
    lines = (out / "log.jsonl").read_text().splitlines()
    return [(line["step"], line["loss"]) for line in map(json.loads, lines)]


def run_program(name: str, arguments: list[str], environment: dict[str, str]) -> None:
    """Run a program as its command line would."""
    os.environ.update(environment)
    sys.argv = [f"{name}.py", *arguments]
    importlib.import_module(name).main()


def fork_server() -> ForkServerContext:
    """A way to start processes that have the programs imported already, which saves seconds for each."""
    context = multiprocessing.get_context("forkserver")
    # The server itself only knows the environment, not this process's sys.path.
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        context.set_forkserver_preload([*TRAININGS, "tiny_trainings"])
        first = context.Process(target=len, args=((),))
        first.start()
        first.join()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


def start(
    context: ForkServerContext, name: str, arguments: list[str], folder: Path, **environment: str
) -> ForkServerProcess:
    """Start a training with its state and results in a folder."""
    places = ["--state", str(folder / "state"), "--out", str(folder / "out")]
    process = context.Process(target=run_program, args=(name, [*arguments, *places], environment))
    process.start()
    return process


def start_pair(
    context: ForkServerContext, name: str, arguments: list[str], folder: Path
) -> list[ForkServerProcess]:
    """Start a training in two processes with the environment that torchrun gives its workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        start(context, name, arguments, folder, RANK=rank, LOCAL_RANK=rank, **shared) for rank in ("0", "1")
    ]
