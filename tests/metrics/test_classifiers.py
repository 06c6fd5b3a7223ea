"""Classifiers, their cache and compound class names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import VideoMAEModel

from metrics.tiny import FRAMES, LABELS, SIZE, slow_movie, write_classifiers
from neurocine.errors import InputError
from neurocine.metrics import classifiers
from neurocine.metrics.classifiers import (
    Classifier,
    image_logits,
    label_words,
    video_embeddings,
    video_logits,
)
from neurocine.metrics.features import Extractor, FeatureStore, network_fingerprint
from neurocine.models.pretrained import load_image_classifier, load_video_classifier


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_classifiers(tmp_path_factory.mktemp("classifiers"))


@pytest.fixture(scope="module")
def judges(folders: tuple[Path, Path]) -> tuple[Classifier, Classifier]:
    image = Classifier(*load_image_classifier(folders[0]))
    return image, Classifier(*load_video_classifier(folders[1], FRAMES))


def test_frames_and_clips_get_the_logits_of_a_single_call(judges: tuple[Classifier, Classifier]) -> None:
    videos = slow_movie(3, 0)
    pixels = torch.from_numpy(videos).float().movedim(-1, -3) / 255
    with torch.inference_mode():
        # Both processors scale 0..255 to -1..1.
        image = judges[0].model(pixel_values=(pixels[1, 1] * 2 - 1)[None]).logits[0]
        video = judges[1].model(pixel_values=(pixels[2] * 2 - 1)[None]).logits[0]
    found_image, found_video = image_logits(judges[0], videos, 4), video_logits(judges[1], videos, 2)
    assert found_image.shape == (3, FRAMES, len(LABELS))
    assert found_video.shape == (3, len(LABELS))
    assert found_image.dtype == found_video.dtype == np.float32
    np.testing.assert_allclose(found_image[1, 1], image, atol=1e-4)
    np.testing.assert_allclose(found_video[2], video, atol=1e-4)


def test_the_batch_does_not_matter(judges: tuple[Classifier, Classifier]) -> None:
    videos = slow_movie(5, 1)
    np.testing.assert_allclose(
        image_logits(judges[0], videos, 1), image_logits(judges[0], videos, 64), atol=1e-4
    )
    np.testing.assert_allclose(
        video_logits(judges[1], videos, 1), video_logits(judges[1], videos, 64), atol=1e-4
    )


def test_labels_stand_in_logit_order(judges: tuple[Classifier, Classifier]) -> None:
    assert judges[0].labels == judges[1].labels == LABELS


def test_a_video_classifier_for_other_clips_is_refused(folders: tuple[Path, Path]) -> None:
    sixteen = Classifier(*load_video_classifier(folders[1]))
    with pytest.raises(InputError, match="16 frames"):
        video_logits(sixteen, slow_movie(1, 0), 1)


def logit_store(judges: tuple[Classifier, Classifier], fingerprint: str, **known: Any) -> FeatureStore:
    image, video = judges
    extractors = {
        "image_logits": Extractor(fingerprint, lambda videos: image_logits(image, videos, 4)),
        "video_logits": Extractor(fingerprint, lambda videos: video_logits(video, videos, 4)),
    }
    return FeatureStore(extractors, **known)


def test_embeddings_are_what_the_classes_are_read_from_and_know_the_order(
    judges: tuple[Classifier, Classifier],
) -> None:
    videos, classifier = slow_movie(5, 3), judges[1]
    found = video_embeddings(classifier, videos, batch=2)
    with torch.no_grad():
        classes = classifier.model.classifier(torch.from_numpy(found)).numpy()
        pixels = classifier.processor([list(video) for video in videos], return_tensors="pt")["pixel_values"]
        tokens = VideoMAEModel.forward(classifier.model.videomae, pixels).last_hidden_state
        alone = classifier.model.fc_norm(torch.stack([one.mean(0) for one in tokens])).numpy()
    np.testing.assert_allclose(classes, video_logits(classifier, videos, batch=5), atol=1e-5)
    np.testing.assert_allclose(found, alone, atol=1e-5)
    backwards = video_embeddings(classifier, videos[:, ::-1].copy(), batch=5)
    assert np.abs(backwards - found).max() > 0.01


def test_logits_are_computed_once(
    judges: tuple[Classifier, Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = slow_movie(2, 0)
    store = logit_store(judges, "weights")
    first = store.run(videos).features
    monkeypatch.setattr(classifiers, "_batched_logits", lambda *_: pytest.fail("ran the classifier again"))
    np.testing.assert_array_equal(store.run(videos.copy()).features["image_logits"], first["image_logits"])
    later = logit_store(judges, "weights", cached=store.arrays)
    np.testing.assert_array_equal(later.run(videos).features["video_logits"], first["video_logits"])
    assert later.arrays.keys() == store.arrays.keys()


@pytest.mark.parametrize("change", ["videos", "weights"])
def test_other_videos_or_weights_are_computed_anew(
    judges: tuple[Classifier, Classifier], change: str
) -> None:
    videos = slow_movie(2, 0)
    store = logit_store(judges, "weights")
    store.run(videos)
    wrong = {name: np.zeros_like(logits) for name, logits in store.arrays.items()}
    again = logit_store(judges, "other" if change == "weights" else "weights", cached=wrong)
    assert again.run(videos if change == "weights" else videos[::-1]).features["image_logits"].any()


def test_fingerprint_changes_with_the_weights(folders: tuple[Path, Path], tmp_path: Path) -> None:
    before = network_fingerprint(folders[0])
    assert before == network_fingerprint(folders[0])
    assert before != network_fingerprint(folders[1])


def test_words_of_compound_labels() -> None:
    words = label_words(["red fish", "blue fish", "red cat"], ("colour", "shape"), "video classifier")
    np.testing.assert_array_equal(words[:, 0] == words[0, 0], [True, False, True])
    np.testing.assert_array_equal(words[:, 1] == words[0, 1], [True, True, False])
    with pytest.raises(InputError, match="'great white shark'"):
        label_words(["red fish", "great white shark"], ("colour", "shape"), "video classifier")


def test_sizes_of_the_tiny_world() -> None:
    assert slow_movie(5, 0).shape == (5, FRAMES, SIZE, SIZE, 3)
