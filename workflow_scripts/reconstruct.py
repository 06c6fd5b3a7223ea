"""Draw clips from decoded features with an inflated image diffusion model."""

from pathlib import Path

from neurocine.animator.features import Features
from neurocine.animator.reconstruct import (
    ReconstructExperiment,
    ReconstructSettings,
    make_reconstructor,
    reconstruct,
)
from neurocine.cli import program
from neurocine.diffusion.decode import decoded_arrays
from neurocine.io import file_sha256, open_arrays, read_meta, write_arrays
from neurocine.models.pretrained import load_scheduler, load_text_encoder, load_unet, load_vae, pick_device
from neurocine.provenance import header, movies_behind


@program
def main(
    *,
    features: Path,
    stable_diffusion: Path,
    experiment: ReconstructExperiment,
    every: int,
    seed: int,
    settings: ReconstructSettings,
    state: Path,
    out: Path,
    device: str = "auto",
) -> None:
    """Draw clips from features; finished groups of clips survive an interruption.

    Parameters
    ----------
    features : file of decode_features or predict_features
    stable_diffusion : folder of Stable Diffusion, an image model
    experiment : variant, renoise, without and through, of one row of the config's experiments, as JSON
    every : draw clips 0, k, 2k ... of each movie, as in decode
    seed : of all noise
    settings : section reconstruct of the config, as JSON
    state : folder of finished groups
    out : per movie frames (n, F, H, W, 3) uint8 and {movie}/clip, as decode writes them
    device : auto, cpu or cuda
    """
    where = pick_device(device)
    given = Features.read(features)
    with open_arrays(features) as handle:
        condition = read_meta(handle).get("condition", features.stem)
    drawer = make_reconstructor(
        load_unet(stable_diffusion),
        load_scheduler(stable_diffusion).config,
        load_vae(stable_diffusion, where),
        load_text_encoder(stable_diffusion),
        given.states.shape[1],
        experiment,
        settings,
        seed,
    )
    weights = sorted(stable_diffusion.rglob("*.safetensors"))
    identity = [file_sha256(path) for path in [features, *weights]]
    decoded, store = reconstruct(drawer, given, every, state, identity)
    meta = header(
        "reconstruct",
        settings,
        movies_behind([features]),
        experiment=experiment.model_dump(),
        condition=condition,
        seed=seed,
        movies=list(decoded),
        axes="clip, frame, height, width, RGB",
    )
    write_arrays(out, decoded_arrays(decoded), meta)
    store.remove()


if __name__ == "__main__":
    main()
