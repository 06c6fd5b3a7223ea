"""Retrieved clips: the training clip with the nearest embedding, as the scorer reads it."""

from pathlib import Path

import numpy as np
import pytest
import torch

import retrieve_clips as program
from metrics.tiny import TRAIN, write_stimuli
from neurocine.fmri.windows import window_index
from neurocine.io import read_arrays, write_arrays
from neurocine.metrics.agreement import mean_direction
from neurocine.metrics.retrieval import RetrieveClipsSettings, nearest, retrieve_clips
from neurocine.provenance import stamp_weights
from neurocine.stimuli.cached import CachedClips
from tiny_study import TR, tiny_encoder, write_fmri


def test_the_nearest_clip_is_the_one_whose_embedding_was_given(tmp_path: Path) -> None:
    stimuli = write_stimuli(tmp_path)
    encoder = tiny_encoder().eval()
    encoder.save_pretrained(tmp_path / "encoder")
    stamp_weights(tmp_path / "encoder", TRAIN, "train_encoder")
    fmri = write_fmri(tmp_path / "fmri.safetensors", ["test1", "test2"], seed=1)
    bold = read_arrays(fmri)[0]["test2"]
    # A training clip gets the embedding of a test window as its own.
    with torch.no_grad():
        window = torch.from_numpy(bold[[2, 3]])[None]
        wanted = encoder.embedding(encoder(window))[0].numpy()
    random = np.random.default_rng(0)
    image = {movie: random.normal(size=(TR, 3, 8)).astype(np.float32) for movie in TRAIN}
    image["seg2"][4] = wanted
    files = []
    for movie in TRAIN:
        files.append(tmp_path / f"embed_{movie}.safetensors")
        write_arrays(
            files[-1], {f"{movie}/image": image[movie]}, {"movies": [movie], "computed_from": [movie]}
        )
    out = tmp_path / "out.safetensors"
    program.main(
        encoder=tmp_path / "encoder", fmri=fmri, embeddings=files, stimuli=stimuli["train_stimuli"], every=2,
        seed=3, settings=RetrieveClipsSettings(batch_size=2), device="cpu", out=out,
    )  # fmt: skip
    arrays, meta = read_arrays(out)
    assert (meta["condition"], meta["seed"]) == ("retrieval", 3)
    assert arrays["test2/clip"].tolist() == [0, 2, 4]
    shown = read_arrays(stimuli["train_stimuli"][1])[0]["seg2"]
    np.testing.assert_array_equal(arrays["test2"][1], shown[4])


def test_nearest_against_a_slow_loop() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(30, 5)).astype(np.float32)
    truth[7] = truth[3]  # an exact tie
    predicted = truth + random.normal(size=truth.shape).astype(np.float32)
    unit = [row / np.linalg.norm(row) for row in truth.astype(float)]
    cosine = np.array([[p @ u / np.linalg.norm(p) for u in unit] for p in predicted.astype(float)])
    assert nearest(torch.from_numpy(predicted), torch.from_numpy(truth)).tolist() == [
        min(np.flatnonzero(row > row.max() - 1e-7)) for row in cosine
    ]
    assert mean_direction(np.ones((2, 3, 4))).norm(dim=1).tolist() == pytest.approx([1, 1])


def test_each_clip_is_found_on_its_own_by_a_slow_loop() -> None:
    random = np.random.default_rng(2)
    encoder = tiny_encoder().eval()
    clips = tuple(("seg1", index) for index in range(7))
    image = random.normal(size=(7, 3, 8)).astype(np.float32)
    bold = {"test1": random.normal(size=(TR, encoder.config.n_vertices)).astype(np.float32)}
    asked: list[tuple[str, int]] = []

    def read(names: list[tuple[str, int]]) -> np.ndarray:
        asked.extend(names)
        return np.array([[[[[index]]]] for _, index in names], np.uint8)

    settings = RetrieveClipsSettings(batch_size=2)
    arrays = retrieve_clips(encoder, bold, CachedClips(clips, image), read, 2, settings)
    means = [np.mean([frame / np.linalg.norm(frame) for frame in frames], axis=0) for frames in image]
    index = window_index(TR, encoder.config.window)
    for row, clip in enumerate(range(0, TR, 2)):
        with torch.no_grad():
            window = torch.from_numpy(bold["test1"][index[clip]])[None]
            embedding = encoder.embedding(encoder(window))[0].numpy()
        cosines = [float(embedding @ mean / np.linalg.norm(mean)) for mean in means]
        assert asked[row] == ("seg1", int(np.argmax(cosines)))
    assert arrays["test1/clip"].tolist() == list(range(0, TR, 2))
    assert arrays["test1"].ravel().tolist() == [clip for _, clip in asked]
