"""The toy study's image classifier."""

from pathlib import Path

import pytest
import torch

import train_toy_image_classifier
from neurocine.models.pretrained import load_image_classifier
from neurocine.simulate.toy_models.classifiers import ToyClassifierTask
from neurocine.simulate.toy_models.pool import draw_pools
from neurocine.simulate.world import class_names
from simulate.quick import QUICK, train_from_one_seed


def test_it_starts_from_the_seed_and_is_read_as_the_published_one(tmp_path: Path) -> None:
    folder = train_from_one_seed(train_toy_image_classifier.main, tmp_path)
    model, processor = load_image_classifier(folder)
    assert list(model.config.id2label.values()) == class_names()
    frame = draw_pools(QUICK, 5)[0].frames[0, 0]
    pixels = processor([frame], return_tensors="pt")["pixel_values"][0]
    expected = (torch.from_numpy(frame).permute(2, 0, 1).float() / 255 - 0.5) / 0.5
    torch.testing.assert_close(pixels, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("row", range(4))
def test_frames_are_labelled_by_pose(row: int) -> None:
    pool, held_out = draw_pools(QUICK.model_copy(update={"turned_share": 1.0}), 5, held_out="with")
    task = ToyClassifierTask(pool, held_out, QUICK.size, video=False)
    scene = pool.scenes[row]
    assert class_names()[int(task.labels[row])] == f"{scene.colour} {scene.shape} {scene.heading}"
