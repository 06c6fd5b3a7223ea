"""Sample clips from captions: the original ones as a ceiling, random ones of the training as a control."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from neurocine.cli import program
from neurocine.conditions import made_by
from neurocine.diffusion.decode import DecodeSettings, decode_clips, decoded_arrays, make_sampler
from neurocine.errors import InputError
from neurocine.io import file_sha256, write_arrays
from neurocine.models.pretrained import load_scheduler, load_vae, pick_device
from neurocine.models.video_unet import VideoUNet
from neurocine.naming import Clip
from neurocine.provenance import header, movies_behind
from neurocine.seeds import numpy_generator
from neurocine.stimuli.cached import TextStates


def drawn_rows(clips: Sequence[Clip], n: int, seed: int) -> np.ndarray:
    """Draw one of n training clips for each clip, (n_clips,) i64; a clip's draw depends on nothing else."""
    draws = [numpy_generator(seed, "training_caption", movie, index).integers(n) for movie, index in clips]
    return np.array(draws, np.int64)


@program
def main(
    *,
    prior: Path,
    embeddings: list[Path],
    stable_diffusion: Path,
    noise_ratio: float,
    seed: int,
    condition: str,
    settings: DecodeSettings,
    out: Path,
    training: list[Path] | None = None,
    state: Path | None = None,
    device: str = "auto",
) -> None:
    """Decode test movies from the text states of captions.

    Parameters
    ----------
    prior : folder of train_video_prior, with unet/
    embeddings : files of embed_clips, test movies
    stable_diffusion : folder of Stable Diffusion
    noise_ratio : correlation between the noise of frames (beta), 0 to 1
    seed : of the initial noise, the same as that of decode, and of the drawn captions
    condition : caption: the original ones, a ceiling; training_caption: a random one of the training movies
        for each clip, which tells nothing of it
    settings : section decode of the config, as JSON
    out : per movie frames (n, F, H, W, 3) uint8 and {movie}/clip
    training : files of embed_clips, training movies; for training_caption
    state : folder of finished groups; without it an interrupted run starts again
    device : auto, cpu or cuda
    """
    if condition not in made_by("decode_captions"):
        known = " or ".join(made_by("decode_captions"))
        raise InputError("--condition", condition, known, "Choose one of them.")
    given = list(training or []) if condition == "training_caption" else embeddings
    where = pick_device(device)
    hashed = [prior / "unet/diffusion_pytorch_model.safetensors", *sorted({*embeddings, *given})]
    behind = movies_behind(hashed)
    captions = TextStates.read(embeddings)
    told = captions if given == embeddings else TextStates.read(given)
    table = torch.from_numpy(told.states)
    # Of several captions of a clip, the first.
    first = torch.from_numpy(told.index.rows[:, 0])
    if condition == "training_caption":
        first = first[torch.from_numpy(drawn_rows(captions.index.clips, len(first), seed))]
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
        lambda rows: table[first[rows]].float(),
        state,
        [condition, *map(file_sha256, hashed)],
    )
    meta = header(
        "decode_captions",
        sampler.settings,
        behind,
        condition=condition,
        noise_ratio=noise_ratio,
        seed=seed,
        movies=list(decoded),
        axes="clip, frame, height, width, RGB",
    )
    write_arrays(out, decoded_arrays(decoded), meta)
    store.remove()


if __name__ == "__main__":
    main()
