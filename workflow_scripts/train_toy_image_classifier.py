"""Program of the rule train_toy_image_classifier."""

from pathlib import Path

from transformers import ViTImageProcessorPil

from neurocine.cli import program
from neurocine.simulate.toy_models.classifiers import VIT_MEAN, VIT_STD, ToyClassifierTask
from neurocine.simulate.toy_models.pool import draw_pools
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.train.loop import train


@program
def main(*, settings: ToyModelSettings, seed: int, state: Path, out: Path) -> None:
    """Train the image classifier of the toy world, a ViT.

    Parameters
    ----------
    settings : section train_toy_image_classifier of the config, as JSON
    seed : of all draws
    state : folder of the resumable state
    out : folder of the model, in the layout of the published one
    """
    # A judge has to know all combinations, the ones held out from the other models too.
    task = ToyClassifierTask(*draw_pools(settings, seed, held_out="with"), settings.size, video=False)
    train(task, settings, seed, state, state / "log.jsonl", "train_toy_image_classifier")
    task.model.save_pretrained(out)
    side = {"height": settings.size, "width": settings.size}
    ViTImageProcessorPil(size=side, image_mean=list(VIT_MEAN), image_std=list(VIT_STD)).save_pretrained(out)


if __name__ == "__main__":
    main()
