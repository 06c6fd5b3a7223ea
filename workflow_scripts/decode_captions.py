"""Sample clips from captions: the original ones as a ceiling, random ones of the training as a control."""

from pathlib import Path

from neurocine.cli import program
from neurocine.diffusion.captions import decode_captions, require_caption_condition, sampler_of_prior
from neurocine.diffusion.decode import DecodeSettings, write_decoding
from neurocine.io import file_sha256
from neurocine.models.pretrained import pick_device
from neurocine.stimuli.cached import TextStates


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
    require_caption_condition(condition)
    drawn_from = list(training or []) if condition == "training_caption" else []
    where = pick_device(device)
    files = [prior / "unet/diffusion_pytorch_model.safetensors", *sorted({*embeddings, *drawn_from})]
    captions = TextStates.read(embeddings)
    result = decode_captions(
        sampler_of_prior(prior, stable_diffusion, captions, noise_ratio, settings, seed, where),
        captions,
        TextStates.read(drawn_from) if condition == "training_caption" else None,
        condition,
        state,
        [file_sha256(path) for path in files],
    )
    facts = {"condition": condition, "noise_ratio": noise_ratio, "seed": seed}
    write_decoding(out, "decode_captions", result, files, facts)


if __name__ == "__main__":
    main()
