"""Train the toy BLIP captioner."""

from pathlib import Path

from neurocine.cli import program
from neurocine.models.pretrained import load_image_classifier
from neurocine.simulate.toy_models.blip import train_toy_blip
from neurocine.simulate.toy_models.settings import ToyModelSettings


@program
def main(*, image_classifier: Path, settings: ToyModelSettings, seed: int, state: Path, out: Path) -> None:
    """Train the toy BLIP captioner.

    Parameters
    ----------
    image_classifier : folder of the trained ViT, from which the image tower starts
    settings : section train_toy_blip of the config, as JSON
    seed : of all draws
    state : folder of the resumable state
    out : folder of the model, in the layout of the published one
    """
    classifier, _ = load_image_classifier(image_classifier)
    for part in train_toy_blip(classifier, settings, seed, state):
        part.save_pretrained(out)


if __name__ == "__main__":
    main()
