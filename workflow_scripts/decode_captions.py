"""Sample clips from the captions of the test movies: what a decoder could reach if it knew the caption."""

import dataclasses
from pathlib import Path

import torch
from torch import nn

from neurocine import __version__
from neurocine.cli import program
from neurocine.diffusion.decode import DecodeSettings, decode_clips, decoded_arrays, make_sampler
from neurocine.io import file_sha256, write_arrays
from neurocine.models.pretrained import load_scheduler, load_vae, pick_device
from neurocine.models.video_unet import VideoUNet
from neurocine.provenance import COMPUTED_FROM, movies_behind
from neurocine.stimuli.cached import TextStates


@program
def main(
    *,
    prior: Path,
    embeddings: list[Path],
    stable_diffusion: Path,
    noise_ratio: float,
    seed: int,
    settings: DecodeSettings,
    out: Path,
    state: Path | None = None,
    device: str = "auto",
) -> None:
    """Decode test movies from the text states of their original captions (a ceiling).

    Parameters
    ----------
    prior : folder of train_video_prior, with unet/
    embeddings : files of embed_clips, test movies
    stable_diffusion : folder of Stable Diffusion
    noise_ratio : correlation between the noise of frames (beta), 0 to 1
    seed : of the initial noise, the same as that of decode
    settings : section decode of the config, as JSON
    out : per movie frames (n, F, H, W, 3) uint8 and {movie}/clip
    state : folder of finished groups; without it an interrupted run starts again
    device : auto, cpu or cuda
    """
    where = pick_device(device)
    hashed = [prior / "unet/diffusion_pytorch_model.safetensors", *embeddings]
    behind = movies_behind(hashed)
    captions = TextStates.read(embeddings)
    table, index = torch.from_numpy(captions.states), torch.from_numpy(captions.index.rows)
    unet = VideoUNet.from_pretrained(prior / "unet")
    nn.Module.to(unet, device=where)
    sampler = make_sampler(
        unet,
        load_scheduler(stable_diffusion).config,
        load_vae(stable_diffusion, where),
        torch.from_numpy(captions.null).float(),
        noise_ratio,
        settings,
        seed,
    )
    decoded, store = decode_clips(
        sampler,
        captions.index.clips,
        lambda rows: table[index[rows, 0]].float(),  # of several captions of a clip, the first
        state,
        ["caption", *map(file_sha256, hashed)],
    )
    meta = {
        "step": "decode_captions",
        "version": __version__,
        "settings": dataclasses.asdict(settings),
        "condition": "caption",
        "noise_ratio": noise_ratio,
        "seed": seed,
        "movies": list(decoded),
        COMPUTED_FROM: behind,
        "axes": "clip, frame, height, width, RGB",
    }
    write_arrays(out, decoded_arrays(decoded), meta)
    store.remove()


if __name__ == "__main__":
    main()
