"""Program of the rule train_toy_vae."""

from pathlib import Path

from neurocine.cli import program
from neurocine.seeds import seeded_weights
from neurocine.simulate.toy_models.pool import draw_pools
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.simulate.toy_models.vae import ToyVaeTask, set_scaling_factor
from neurocine.train.loop import train


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
    pool, held_out = draw_pools(settings, seed)
    with seeded_weights(seed, "train_toy_vae", "weights"):
        task = ToyVaeTask(pool, held_out, settings.size, settings.latent_channels)
    train(task, settings, seed, state, state / "log.jsonl", "train_toy_vae")
    vae = task.model.vae
    set_scaling_factor(vae, task.frames[:1000])
    vae.save_pretrained(out)


if __name__ == "__main__":
    main()
