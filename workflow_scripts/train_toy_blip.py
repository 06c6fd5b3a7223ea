"""Program of the rule train_toy_blip."""

from pathlib import Path

from transformers import BlipImageProcessorPil

from neurocine.cli import program
from neurocine.models.pretrained import load_image_classifier
from neurocine.seeds import seeded_weights
from neurocine.simulate.toy_models.blip import ToyBlipTask
from neurocine.simulate.toy_models.clip import CLIP_MEAN, CLIP_STD
from neurocine.simulate.toy_models.pool import draw_pools
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.train.loop import train


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
    # A captioner knows the language: trained without some combinations it never names them.
    with seeded_weights(seed, "train_toy_blip", "weights"):
        task = ToyBlipTask(*draw_pools(settings, seed, held_out="with"), settings.size, classifier)
    train(task, settings, seed, state, state / "log.jsonl", "train_toy_blip")
    task.model.save_pretrained(out)
    task.tokenizer.save_pretrained(out)
    side = {"height": settings.size, "width": settings.size}
    BlipImageProcessorPil(size=side, image_mean=list(CLIP_MEAN), image_std=list(CLIP_STD)).save_pretrained(
        out
    )


if __name__ == "__main__":
    main()
