"""Encode the frames of every clip with the VAE of the diffusion model."""

from dataclasses import asdict
from pathlib import Path

from neurocine import __version__
from neurocine.cli import program
from neurocine.io import open_arrays, write_arrays
from neurocine.models.pretrained import load_vae, pick_device
from neurocine.provenance import COMPUTED_FROM
from neurocine.seeds import torch_generator
from neurocine.stimuli.cached import movies_in
from neurocine.stimuli.latents import EncodeLatentsSettings, encode_latents


@program
def main(
    *, stimuli: Path, stable_diffusion: Path, seed: int, settings: EncodeLatentsSettings, out: Path
) -> None:
    """Encode the frames of every clip with the VAE of the diffusion model.

    Parameters
    ----------
    stimuli : file of prepare_stimuli
    stable_diffusion : folder of Stable Diffusion, for its VAE
    seed : of the study; used when a draw of the posterior is taken
    settings : section encode_latents of the config, as JSON
    out : file to write: per movie float16 (clips, frames, channels, height, width)
    """
    vae = load_vae(stable_diffusion, pick_device(settings.device))
    latents = {}
    with open_arrays(stimuli) as handle:
        movies = movies_in(handle)
        for movie in movies:
            generator = torch_generator(seed, "encode_latents", movie) if settings.sample else None
            latents[movie] = encode_latents(movie, handle.get_tensor(movie), vae, settings, generator)
    meta = {
        "step": "encode_latents",
        "version": __version__,
        "settings": asdict(settings),
        "movies": movies,
        COMPUTED_FROM: movies,
        "seed": seed,
        "scaling_factor": float(vae.config["scaling_factor"]),
    }
    write_arrays(out, latents, meta)


if __name__ == "__main__":
    main()
