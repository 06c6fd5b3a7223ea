"""Program of the rule train_toy_video_classifier."""

from pathlib import Path

from transformers import VideoMAEImageProcessorPil

from neurocine.cli import program
from neurocine.simulate.toy_models.classifiers import VIDEOMAE_MEAN, VIDEOMAE_STD, ToyClassifierTask
from neurocine.simulate.toy_models.pool import draw_pools
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.train.loop import train


@program
def main(*, settings: ToyModelSettings, seed: int, state: Path, out: Path) -> None:
    """Train the video classifier of the toy world, a VideoMAE.

    Parameters
    ----------
    settings : section train_toy_video_classifier of the config, as JSON
    seed : of all draws
    state : folder of the resumable state
    out : folder of the model, in the layout of the published one
    """
    # A judge has to know all combinations, the ones held out from the other models too.
    task = ToyClassifierTask(*draw_pools(settings, seed, held_out="with"), settings.size, video=True)
    train(task, settings, seed, state, state / "log.jsonl", "train_toy_video_classifier")
    task.model.save_pretrained(out)
    processor = VideoMAEImageProcessorPil(
        size={"shortest_edge": settings.size},
        crop_size={"height": settings.size, "width": settings.size},
        image_mean=list(VIDEOMAE_MEAN),
        image_std=list(VIDEOMAE_STD),
    )
    processor.save_pretrained(out)


if __name__ == "__main__":
    main()
