"""Train the image classifier of the toy world."""

from pathlib import Path

from neurocine.cli import program
from neurocine.simulate.toy_models.classifiers import train_toy_image_classifier
from neurocine.simulate.toy_models.settings import ToyModelSettings


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
    for part in train_toy_image_classifier(settings, seed, state):
        part.save_pretrained(out)


if __name__ == "__main__":
    main()
