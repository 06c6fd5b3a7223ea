"""The trainings of the toy study's networks, a few steps of them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from neurocine.models.pretrained import load_image_classifier, load_video_classifier
from neurocine.simulate.toy_models.classifiers import train_classifier
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.simulate.world import class_names

QUICK = ToyModelSettings(
    n_clips=12, n_held_out=4, steps=2, batch_size=4, warmup_steps=0, precision="no", tensorboard=False
)


@pytest.mark.parametrize("video", [False, True])
def test_judges_start_from_the_seed_and_are_read_as_published_ones(video: bool, tmp_path: Path) -> None:
    weights = []
    for number in (1, 2):
        torch.manual_seed(number)  # as in another process
        folder = tmp_path / str(number)
        train_classifier(QUICK, 5, folder / "state", folder / "model", "train_toy_classifier", video)
        weights.append(load_file(folder / "model" / "model.safetensors"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    model, _ = (
        load_video_classifier(folder / "model", n_frames=6)
        if video
        else load_image_classifier(folder / "model")
    )
    assert list(model.config.id2label.values()) == class_names()
