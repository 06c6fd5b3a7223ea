"""Program of the rule train_toy_clip."""

import logging
from pathlib import Path
from typing import Any

from transformers import CLIPImageProcessorPil, CLIPTextModel

from neurocine.cli import program
from neurocine.seeds import seeded_weights
from neurocine.simulate.toy_models.clip import CLIP_MEAN, CLIP_STD, ToyClipTask, state_distances
from neurocine.simulate.toy_models.pool import draw_pools
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.train.loop import train

CAPTION = "a red fish moving left in fog"
CHANGES = {"left": "right", "red": "blue", "fish": "car", "in fog": "at night"}


@program
def main(*, settings: ToyModelSettings, seed: int, state: Path, out: Path, out_diffusion: Path) -> None:
    """Train the toy CLIP; its text tower is the text encoder of the toy Stable Diffusion.

    Parameters
    ----------
    settings : section train_toy_clip of the config, as JSON
    seed : of all draws
    state : folder of the resumable state
    out : folder of the CLIP model
    out_diffusion : folder of the Stable Diffusion model; text_encoder/ and tokenizer/ are written there
    """
    with seeded_weights(seed, "train_toy_clip", "weights"):
        task = ToyClipTask(*draw_pools(settings, seed), settings.size)
    train(task, settings, seed, state, state / "log.jsonl", "train_toy_clip")
    distances = state_distances(task, [(CAPTION, CAPTION.replace(old, new)) for old, new in CHANGES.items()])
    for (old, new), distance in zip(CHANGES.items(), distances, strict=True):
        logging.getLogger(__name__).info("text states: %s to %s moves them by %.2f", old, new, distance)
    task.model.save_pretrained(out)
    task.tokenizer.save_pretrained(out)
    side = {"height": settings.size, "width": settings.size}
    CLIPImageProcessorPil(
        size={"shortest_edge": settings.size},
        crop_size=side,
        image_mean=list(CLIP_MEAN),
        image_std=list(CLIP_STD),
    ).save_pretrained(out)
    text: Any = CLIPTextModel(task.model.text_model.config)
    weights = {
        name: value for name, value in task.model.text_model.state_dict().items() if name in text.state_dict()
    }
    text.load_state_dict(weights)
    text.save_pretrained(out_diffusion / "text_encoder")
    task.tokenizer.save_pretrained(out_diffusion / "tokenizer")


if __name__ == "__main__":
    main()
