"""Judge the toy models on clips of held-out combinations, with the code that loads and runs the real ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from neurocine.diffusion.sampling import SchedulerName, make_scheduler, sample
from neurocine.metrics.classifiers import Classifier, image_logits, video_logits
from neurocine.models.pretrained import (
    load_blip,
    load_clip,
    load_image_classifier,
    load_scheduler,
    load_text_encoder,
    load_unet,
    load_vae,
    load_video_classifier,
)
from neurocine.models.vae import decode_latents, vae_round_trip
from neurocine.models.video_unet import VideoUNet
from neurocine.seeds import numpy_generator, torch_generator
from neurocine.settings import Count, NotNegative, Settings, Unit
from neurocine.simulate.toy_models.pool import Pool, draw_pool
from neurocine.stimuli.caption import CaptionClipsSettings, caption_frames

WORDS = ("colour", "shape", "direction")


class ScoreToyModelsSettings(Settings):
    """How many clips are judged and how samples are drawn."""

    n_clips: Annotated[Count, Unit("clips")] = 192
    """This many clips of held-out combinations are judged."""
    size: Annotated[Count, Unit("px")] = 64
    """Frames have this height and width."""
    scheduler: SchedulerName = "DPMSolverMultistep"
    """Name a sampler of diffusers that adds no noise at its steps."""
    steps: Annotated[Count, Unit("steps")] = 20
    """Each picture is denoised in this many steps."""
    guidance: NotNegative = 3.0
    """Classifier-free guidance has this scale; 1 is none."""


def word_accuracy(
    logits: np.ndarray, labels: Sequence[str], wanted: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Return the share of rows whose best class has the right colour, shape, direction, and all three.

    Parameters
    ----------
    logits : (n, C)
    labels : C names ``colour shape direction``
    wanted : n triples
    """
    guesses = [labels[int(best)].split() for best in logits.argmax(1)]
    pairs = list(zip(guesses, wanted, strict=True))
    values = {word: float(np.mean([a[i] == b[i] for a, b in pairs])) for i, word in enumerate(WORDS)}
    return values | {"all": float(np.mean([list(a) == list(b) for a, b in pairs]))}


@torch.no_grad()
def sample_images(
    stable_diffusion: Path, captions: Sequence[str], settings: ScoreToyModelsSettings, seed: int
) -> np.ndarray:
    """Draw one picture per caption with the image UNet: uint8 (n, size, size, 3)."""
    unet = VideoUNet.from_unet2d(load_unet(stable_diffusion))  # one frame: exactly the image UNet
    text_encoder, tokenizer = load_text_encoder(stable_diffusion)
    ids = tokenizer(["", *captions], padding="max_length", return_tensors="pt").input_ids
    states = text_encoder(ids).last_hidden_state
    vae = load_vae(stable_diffusion)
    latents = sample(
        unet.eval(),
        make_scheduler(settings.scheduler, load_scheduler(stable_diffusion).config),
        states[1:],
        states[0],
        latent_shape=(vae.config["latent_channels"], 1, settings.size // 8, settings.size // 8),
        generators=[torch_generator(seed, "picture", row) for row in range(len(captions))],
        noise_ratio=0.0,
        guidance=settings.guidance,
        steps=settings.steps,
    )
    return decode_latents(vae, latents.transpose(1, 2))[:, 0]


def score_toy_models(
    models: Mapping[str, Path], settings: ScoreToyModelsSettings, seed: int
) -> tuple[dict[str, Any], np.ndarray]:
    """Score every toy model on held-out combinations.

    Parameters
    ----------
    models : folders by key: clip, blip, stable_diffusion, image_classifier, video_classifier
    settings, seed : clips and samples to draw

    Returns
    -------
    scores by model, and the sampled pictures uint8 (n, size, size, 3) in the order of the clips
    """
    pool = draw_pool(settings.n_clips, settings.size, numpy_generator(seed, "score"), "only")
    wanted = [(scene.colour, scene.shape, scene.direction) for scene in pool.scenes]
    turned = draw_pool(settings.n_clips, settings.size, numpy_generator(seed, "score turned"), "only", 1.0)
    moves = [(scene.colour, scene.shape, scene.direction) for scene in turned.scenes]
    image = Classifier(*load_image_classifier(models["image_classifier"]))
    video = Classifier(*load_video_classifier(models["video_classifier"], n_frames=pool.frames.shape[1]))
    middle = pool.frames[:, 2:3]
    captions = caption_frames(load_blip(models["blip"]), middle[:, 0], CaptionClipsSettings())
    pictures = sample_images(models["stable_diffusion"], pool.captions, settings, seed)
    vae = load_vae(models["stable_diffusion"])
    values = {
        "vae": {"psnr_db": vae_round_trip(vae, middle[:, 0])},
        "blip": {
            "exact_captions": float(np.mean([a == b for a, b in zip(captions, pool.captions, strict=True)]))
        },
        "clip": {"caption_retrieval": clip_retrieval(models["clip"], pool)},
        "image_classifier": word_accuracy(image_logits(image, middle, 64)[:, 0], image.labels, wanted),
        "video_classifier": word_accuracy(video_logits(video, pool.frames, 32), video.labels, wanted),
        "video_classifier_turned": word_accuracy(video_logits(video, turned.frames, 32), video.labels, moves),
        "samples": word_accuracy(image_logits(image, pictures[:, None], 64)[:, 0], image.labels, wanted),
    }
    return values, pictures


@torch.no_grad()
def clip_retrieval(folder: Path, pool: Pool) -> float:
    """Return the share of middle frames whose own caption is nearest among all captions of the pool."""
    model, processor, tokenizer = load_clip(folder)
    names = sorted(set(pool.captions))
    ids = tokenizer(names, padding="max_length", return_tensors="pt").input_ids
    inputs = processor(list(pool.frames[:, 2]), return_tensors="pt")
    best = model(input_ids=ids, pixel_values=inputs["pixel_values"]).logits_per_image.argmax(1)
    return float(np.mean([names[int(i)] == own for i, own in zip(best, pool.captions, strict=True)]))
