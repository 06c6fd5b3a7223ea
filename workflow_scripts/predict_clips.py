"""Make clips of features that a ridge regression predicted."""

from pathlib import Path
from typing import Any

import numpy as np

from neurocine.animator.features import Features
from neurocine.cli import program
from neurocine.diffusion.decode import Decoded, decoded_arrays
from neurocine.errors import InputError
from neurocine.io import open_arrays, read_meta, write_arrays
from neurocine.metrics.agreement import mean_direction
from neurocine.models.pretrained import load_vae, pick_device
from neurocine.models.vae import decode_latents
from neurocine.provenance import header, movies_behind
from neurocine.ridge.clips import PredictClipsSettings, nearest_clips, predict_clips
from neurocine.stimuli.cached import CachedClips, read_clips


def retrieved(features: Path, embeddings: list[Path], stimuli: list[Path], every: int) -> dict[str, Decoded]:
    """Take for each k-th clip the training clip whose frames have the nearest embedding."""
    predicted, candidates = CachedClips.read([features], "image"), CachedClips.read(embeddings, "image")
    nearest = nearest_clips(predicted.rows, mean_direction(candidates.rows).numpy())

    def read(rows: np.ndarray) -> np.ndarray:
        return read_clips(stimuli, [candidates.clips[nearest[row]] for row in rows])

    return predict_clips(predicted.clips, every, read)


def decoded(features: Path, vae: Any, every: int, batch_size: int) -> dict[str, Decoded]:
    """Decode the predicted latents of each k-th clip as they are."""
    given = Features.read(features)
    return predict_clips(
        given.clips, every, lambda rows: decode_latents(vae, given.latents[rows], batch_size)
    )


@program
def main(
    *,
    features: Path,
    target: str,
    embeddings: list[Path],
    stimuli: list[Path],
    stable_diffusion: Path,
    every: int,
    seed: int,
    settings: PredictClipsSettings,
    out: Path,
    device: str = "auto",
) -> None:
    """Show the training clip with the nearest embedding, or decode predicted latents by the VAE.

    Parameters
    ----------
    features : file of predict_features
    target : clip (the nearest training clip) or latents (decoded by the VAE)
    embeddings, stimuli : files of embed_clips and prepare_stimuli, training movies
    stable_diffusion : folder of Stable Diffusion, for its VAE
    every : clips 0, k, 2k ... of each movie, as in decode
    seed : written for the tables; nothing is drawn
    settings : section predict_clips of the config, as JSON
    out : per movie frames (n, F, H, W, 3) uint8 and {movie}/clip, as decode writes them
    device : auto, cpu or cuda
    """
    if target not in ("clip", "latents"):
        raise InputError("--target", target, "clip or latents", "Choose one of them.")
    with open_arrays(features) as handle:
        condition = read_meta(handle)["condition"]
    if target == "clip":
        clips = retrieved(features, embeddings, stimuli, every)
    else:
        vae = load_vae(stable_diffusion, pick_device(device))
        clips = decoded(features, vae, every, settings.batch_size)
    behind = movies_behind([features, *embeddings])
    facts = {"condition": condition, "target": target, "seed": seed, "movies": list(clips)}
    facts["axes"] = "clip, frame, height, width, RGB"
    write_arrays(out, decoded_arrays(clips), header("predict_clips", settings, behind, **facts))


if __name__ == "__main__":
    main()
