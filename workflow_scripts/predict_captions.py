"""Sample clips from the training captions nearest to what ridge regression predicts of a subject's fMRI."""

from pathlib import Path

from neurocine.cli import program
from neurocine.diffusion.captions import sampler_of_prior
from neurocine.diffusion.decode import DecodeSettings, write_decoding
from neurocine.io import file_sha256, open_arrays, read_meta
from neurocine.models.pretrained import pick_device
from neurocine.provenance import refuse_overlap
from neurocine.ridge.captions import predict_captions
from neurocine.stimuli.cached import CachedClips, TextStates


@program
def main(
    *,
    features: Path,
    prior: Path,
    embeddings: list[Path],
    stable_diffusion: Path,
    noise_ratio: float,
    seed: int,
    settings: DecodeSettings,
    state: Path,
    out: Path,
    device: str = "auto",
) -> None:
    """Decode test movies by way of captions and no trained encoder; finished groups survive an interruption.

    Parameters
    ----------
    features : file of predict_features
    prior : folder of train_video_prior, with unet/
    embeddings : files of embed_clips, training movies
    stable_diffusion : folder of Stable Diffusion
    noise_ratio : correlation between the noise of frames (beta), 0 to 1
    seed : of the initial noise, the same as that of decode
    settings : section decode of the config, as JSON
    state : folder of finished groups
    out : per movie frames (n, F, H, W, 3) uint8 and {movie}/clip
    device : auto, cpu or cuda
    """
    where = pick_device(device)
    files = [prior / "unet/diffusion_pytorch_model.safetensors", features, *embeddings]
    with open_arrays(features) as handle:
        condition = read_meta(handle)["condition"]
    predicted = CachedClips.read([features], "embedding")
    for path in embeddings:
        refuse_overlap(path, {movie for movie, _ in predicted.clips})
    captions = TextStates.read(embeddings)
    result = predict_captions(
        predicted,
        sampler_of_prior(prior, stable_diffusion, captions, noise_ratio, settings, seed, where),
        CachedClips.read(embeddings, "text"),
        captions,
        state,
        [condition, *(file_sha256(path) for path in files)],
    )
    facts = {"condition": condition, "noise_ratio": noise_ratio, "seed": seed}
    write_decoding(out, "predict_captions", result, files, facts)


if __name__ == "__main__":
    main()
