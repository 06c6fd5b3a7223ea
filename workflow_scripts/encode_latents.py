"""Encode the frames of every clip with the VAE of the diffusion model."""

from pathlib import Path

from neurocine.cli import program
from neurocine.io import open_arrays, refuse_nonfinite, write_arrays
from neurocine.models.pretrained import load_vae, pick_device
from neurocine.provenance import header
from neurocine.seeds import torch_generator
from neurocine.stimuli.cached import movies_in
from neurocine.stimuli.latents import EncodeLatentsSettings, encode_latents


@program
def main(
    *,
    stimuli: Path,
    stable_diffusion: Path,
    seed: int,
    settings: EncodeLatentsSettings,
    out: Path,
    device: str = "auto",
) -> None:
    """Encode the frames of every clip with the VAE of the diffusion model.

    Parameters
    ----------
    stimuli : file of prepare_stimuli
    stable_diffusion : folder of Stable Diffusion, for its VAE
    seed : of the study; used when a draw of the posterior is taken
    settings : section encode_latents of the config, as JSON
    out : file to write: per movie float16 (clips, frames, channels, height, width)
    device : auto, cpu or cuda
    """
    vae = load_vae(stable_diffusion, pick_device(device))
    latents = {}
    with open_arrays(stimuli) as handle:
        movies = movies_in(handle)
        for movie in movies:
            generator = torch_generator(seed, "encode_latents", movie) if settings.sample else None
            latents[movie] = encode_latents(movie, handle.get_tensor(movie), vae, settings, generator)
    factor = float(vae.config["scaling_factor"])
    meta = header("encode_latents", settings, movies, movies=movies, seed=seed, scaling_factor=factor)
    refuse_nonfinite(latents, stable_diffusion / "vae")
    write_arrays(out, latents, meta)


if __name__ == "__main__":
    main()
