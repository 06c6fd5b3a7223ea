"""Train the autoencoder of the toy Stable Diffusion."""

from pathlib import Path

from neurocine.cli import program
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.simulate.toy_models.vae import train_toy_vae


@program
def main(*, settings: ToyModelSettings, seed: int, state: Path, out: Path) -> None:
    """Train the autoencoder of the toy Stable Diffusion.

    Parameters
    ----------
    settings : section train_toy_vae of the config, as JSON
    seed : of all draws
    state : folder of the resumable state
    out : folder of the weights, in diffusers' layout
    """
    train_toy_vae(settings, seed, state).save_pretrained(out)


if __name__ == "__main__":
    main()
