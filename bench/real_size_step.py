"""One optimiser step of phases 1, 2a and 2b at the published size, with random weights and data, on this CPU.

Batch 1 (2 contrasted windows in phase 1), 6 frames of 256 x 256, the networks, tasks and settings of the
workflow (bf16 autocast, checkpointing). Each phase runs in a process of its own, so that its peak memory can
be read; prints one line per phase and ends with an error if a phase needs more than --limit-gb, or if a
trained weight got no gradient:

    python bench/real_size_step.py
"""

import argparse
import multiprocessing
import resource
import sys
import time

import numpy as np
import torch
from torch import nn

from neurocine.diffusion.conditions import FmriWindows
from neurocine.fmri.assemble import SubjectFmri
from neurocine.fmri.vertices import SelectVerticesSettings, select_vertices
from neurocine.models.decoder import JointDecoder
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.models.video_unet import VideoUNet
from neurocine.seeds import torch_generator
from neurocine.stimuli.cached import CachedClips
from neurocine.train.decoder import FmriTask, TrainDecoderSettings, window_data
from neurocine.train.denoising import ClipData
from neurocine.train.encoder import (
    ContrastiveModel,
    EncoderData,
    EncoderExperiment,
    EncoderTask,
    TrainEncoderSettings,
)
from neurocine.train.task import LoopSettings, Task
from neurocine.train.video_prior import CaptionTask, TrainVideoPriorSettings

SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}  # Stable Diffusion's
FRAMES, LATENT = 6, 32
STATES = (77, 768)
MOVIE, N_CLIPS = "seg1", 2
RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    """Draw normal float32 numbers."""
    return RANDOM.standard_normal(shape, dtype=np.float32)


def clips() -> CachedClips:
    """Latents of a short movie."""
    ids = tuple((MOVIE, index) for index in range(N_CLIPS))
    return CachedClips(ids, normal(N_CLIPS, FRAMES, 4, LATENT, LATENT))


def published_encoder(n_vertices: int) -> FmriEncoder:
    """The encoder of phases 1 and 2b, computed twice to save memory."""
    architecture = TrainEncoderSettings().architecture(n_vertices, STATES, STATES[1], None)
    encoder = FmriEncoder(architecture)
    encoder.gradient_checkpointing = True
    return encoder


def published_unet(settings: TrainVideoPriorSettings | TrainDecoderSettings) -> VideoUNet:
    """The video UNet of Stable Diffusion 1's size."""
    unet = VideoUNet(sample_size=LATENT, cross_attention_dim=STATES[1], clip_shape=(FRAMES, LATENT, LATENT))
    unet.set_trainable(settings.trained)  # type: ignore[arg-type]
    if settings.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    return unet


def phase_1(n_vertices: int) -> tuple[Task, LoopSettings]:
    """Contrast windows; one clip has no others to contrast with, so the batch is two."""
    settings = TrainEncoderSettings()
    movies = ("seg1", "seg2")  # clips of one movie a few TRs apart are no negatives of each other
    fmri = SubjectFmri({movie: normal(1, n_vertices) for movie in movies})
    text = {movie: normal(1, 1, STATES[1]) for movie in movies}
    image = {movie: normal(1, FRAMES, STATES[1]) for movie in movies}
    data = EncoderData.join(fmri, text, image, movies, settings.window, only_mean=True)
    model = ContrastiveModel(published_encoder(n_vertices), settings)
    return EncoderTask(model, data, None, settings, EncoderExperiment(), 0), settings


def phase_2a(n_vertices: int) -> tuple[Task, LoopSettings]:
    """Denoise a clip from its caption."""
    settings = TrainVideoPriorSettings(validate_every=0)
    states = torch.from_numpy(normal(N_CLIPS, *STATES))
    data = ClipData(clips(), lambda rows, generator: states[rows], states[0], ())
    return CaptionTask(published_unet(settings), data, SCHEDULE, 0.75, settings, 0), settings


def phase_2b(n_vertices: int) -> tuple[Task, LoopSettings]:
    """Denoise a clip from fMRI."""
    settings = TrainDecoderSettings(validate_every=0, patience=0)
    decoder = JointDecoder(published_unet(settings), published_encoder(n_vertices))
    assert decoder.encoder.pool is not None
    decoder.encoder.pool.requires_grad_(False)
    windows = FmriWindows({MOVIE: normal(1, N_CLIPS, n_vertices)}, decoder.encoder.config.window)
    null = np.zeros((decoder.encoder.config.window, n_vertices), np.float32)
    data = window_data(clips(), windows, null, ())
    return FmriTask(decoder, data, SCHEDULE, 0.75, settings, 0), settings


PHASES = {"1": (phase_1, 2), "2a": (phase_2a, 1), "2b": (phase_2b, 1)}


def without_gradient(model: nn.Module) -> list[str]:
    """Name trained parameters that have no gradient."""
    return [name for name, value in model.named_parameters() if value.requires_grad and value.grad is None]


def run(phase: str, n_vertices: int, limit_gb: float) -> None:
    """Do one step and print what it took."""
    make, batch = PHASES[phase]
    torch.manual_seed(0)
    task, settings = make(n_vertices)
    model = task.model.train()
    optimiser = torch.optim.AdamW(task.parameter_groups(), lr=settings.learning_rate, betas=settings.betas)
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = task.loss(model, torch.arange(batch), torch_generator(0, "step"))
    loss.backward()
    missing = without_gradient(model)
    norm = nn.utils.clip_grad_norm_(
        [p for p in model.parameters() if p.requires_grad], settings.gradient_clip
    )
    optimiser.step()
    seconds = time.perf_counter() - started
    peak = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    )
    total = sum(value.numel() for value in model.parameters()) / 1e6
    trained = sum(value.numel() for value in model.parameters() if value.requires_grad) / 1e6
    print(
        f"phase {phase}: {total:.1f} M parameters, {trained:.1f} M trained, batch {batch}, "
        f"loss {loss.item():.3f}, gradient norm {norm.item():.2f}, {seconds:.0f} s, "
        f"peak memory {peak:.1f} GB",
        flush=True,
    )
    if missing or not torch.isfinite(loss) or not 0 < norm.item() < float("inf"):
        raise SystemExit(f"phase {phase}: no gradient or none that is finite {missing[:5]}")
    if peak > limit_gb:
        raise SystemExit(f"phase {phase}: {peak:.1f} GB, more than {limit_gb:g} GB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--phase", choices=PHASES, action="append", help="default: all, one after the other")
    parser.add_argument("--vertices", type=int, help="of one frame (default: those of select_vertices)")
    parser.add_argument("--limit-gb", type=float, default=20.0)
    arguments = parser.parse_args()
    n_vertices = arguments.vertices or len(select_vertices(SelectVerticesSettings()).area)
    spawn = multiprocessing.get_context("spawn")
    failed = []
    for phase in arguments.phase or PHASES:
        process = spawn.Process(target=run, args=(phase, n_vertices, arguments.limit_gb))
        process.start()
        process.join()
        failed += [phase] if process.exitcode else []
    if failed:
        raise SystemExit(f"failed: phase {', '.join(failed)}")


if __name__ == "__main__":
    main()
