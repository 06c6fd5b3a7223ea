"""Program of the rule train_toy_classifier."""

from pathlib import Path

from transformers import VideoMAEImageProcessorPil, ViTImageProcessorPil

from neurocine.cli import program
from neurocine.errors import InputError
from neurocine.simulate.toy_models.classifiers import (
    VIDEOMAE_MEAN,
    VIDEOMAE_STD,
    VIT_MEAN,
    VIT_STD,
    ToyClassifierTask,
)
from neurocine.simulate.toy_models.pool import draw_pools
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.train.loop import train


@program
def main(*, kind: str, settings: ToyModelSettings, seed: int, state: Path, out: Path) -> None:
    """Train the image or the video classifier of the toy world.

    Parameters
    ----------
    kind : image (a ViT) or video (a VideoMAE)
    settings : section train_toy_classifier of the config, as JSON
    seed : of all draws
    state : folder of the resumable state
    out : folder of the model, in the layout of the published one
    """
    if kind not in ("image", "video"):
        raise InputError("--kind", kind, "image or video", "Choose one of them.")
    # A judge has to know all combinations, the ones held out from the other models too.
    task = ToyClassifierTask(
        *draw_pools(settings, seed, held_out="with"), settings.size, video=kind == "video"
    )
    train(task, settings.loop, seed, state, state / "log.jsonl", f"train_toy_classifier {kind}")
    task.model.save_pretrained(out)
    side = {"height": settings.size, "width": settings.size}
    processor: VideoMAEImageProcessorPil | ViTImageProcessorPil
    if kind == "video":
        processor = VideoMAEImageProcessorPil(
            size={"shortest_edge": settings.size},
            crop_size=side,
            image_mean=list(VIDEOMAE_MEAN),
            image_std=list(VIDEOMAE_STD),
        )
    else:
        processor = ViTImageProcessorPil(size=side, image_mean=list(VIT_MEAN), image_std=list(VIT_STD))
    processor.save_pretrained(out)


if __name__ == "__main__":
    main()
