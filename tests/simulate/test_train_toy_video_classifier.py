"""The toy study's video classifier."""

from pathlib import Path

import pytest

import train_toy_video_classifier
from neurocine.models.pretrained import load_video_classifier
from neurocine.simulate.toy_models.classifiers import ToyClassifierTask
from neurocine.simulate.toy_models.pool import draw_pools
from neurocine.simulate.world import class_names
from simulate.quick import QUICK, train_from_one_seed


def test_it_starts_from_the_seed_and_is_read_as_the_published_one(tmp_path: Path) -> None:
    folder = train_from_one_seed(train_toy_video_classifier.main, tmp_path)
    model, processor = load_video_classifier(folder, n_frames=6)
    assert list(model.config.id2label.values()) == class_names()
    clip = draw_pools(QUICK, 5)[0].frames[0]
    assert processor(list(clip), return_tensors="pt")["pixel_values"].shape == (1, 6, 3, 16, 16)


@pytest.mark.parametrize("row", range(4))
def test_clips_are_labelled_by_motion_though_things_point_elsewhere(row: int) -> None:
    pool, held_out = draw_pools(QUICK.model_copy(update={"turned_share": 1.0}), 5, held_out="with")
    task = ToyClassifierTask(pool, held_out, QUICK.size, video=True)
    scene = pool.scenes[row]
    assert class_names()[int(task.labels[row])] == f"{scene.colour} {scene.shape} {scene.direction}"
    assert any(scene.heading != scene.direction for scene in pool.scenes)
