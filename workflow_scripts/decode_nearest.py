"""Sample clips from the training captions nearest to a subject's fMRI, which joint training has to beat."""

from pathlib import Path

from neurocine.cli import program
from neurocine.diffusion.captions import sampler_of_prior
from neurocine.diffusion.decode import DecodeSettings, write_decoding
from neurocine.diffusion.nearest import decode_nearest
from neurocine.fmri.assemble import SubjectFmri
from neurocine.io import file_sha256
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.models.pretrained import pick_device
from neurocine.provenance import refuse_overlap
from neurocine.stimuli.cached import CachedClips, TextStates


@program
def main(
    *,
    encoder: Path,
    prior: Path,
    fmri: Path,
    embeddings: list[Path],
    stable_diffusion: Path,
    noise_ratio: float,
    seed: int,
    settings: DecodeSettings,
    state: Path,
    out: Path,
    device: str = "auto",
) -> None:
    """Decode test movies by way of captions; finished groups of clips survive an interruption.

    Parameters
    ----------
    encoder : folder encoder/ of train_encoder
    prior : folder of train_video_prior, with unet/
    fmri : test file of assemble_test
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
    weights = [encoder / "model.safetensors", prior / "unet/diffusion_pytorch_model.safetensors"]
    files = [*weights, fmri, *embeddings]
    test = SubjectFmri.read(fmri, with_repeats=False).bold
    for path in embeddings:
        refuse_overlap(path, test)
    captions = TextStates.read(embeddings)
    result = decode_nearest(
        FmriEncoder.from_pretrained(encoder).to(where),
        sampler_of_prior(prior, stable_diffusion, captions, noise_ratio, settings, seed, where),
        test,
        CachedClips.read(embeddings, "text"),
        captions,
        state,
        [file_sha256(path) for path in files],
    )
    facts = {"condition": "nearest_caption", "noise_ratio": noise_ratio, "seed": seed}
    write_decoding(out, "decode_nearest", result, files, facts)


if __name__ == "__main__":
    main()
