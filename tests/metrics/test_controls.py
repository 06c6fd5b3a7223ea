"""Baselines and retrieved clips, and the programs that write them for the scorer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

import make_baselines
import retrieve_clips
from metrics.tiny import slow_movie
from neurocine.errors import InputError
from neurocine.io import read_arrays, write_arrays
from neurocine.metrics.agreement import mean_direction
from neurocine.metrics.baselines import MakeBaselinesSettings, blurred_video, hold_first_frame
from neurocine.metrics.retrieval import RetrieveClipsSettings, nearest
from neurocine.provenance import stamp_weights
from tiny_study import TR, tiny_encoder, write_fmri

TRAIN = ("seg1", "seg2")


@pytest.fixture
def stimuli(tmp_path: Path) -> dict[str, list[Path]]:
    """Training movies in two files, test movies in one."""
    for number, movie in enumerate(TRAIN):
        meta = {"movies": [movie], "computed_from": [movie]}
        write_arrays(tmp_path / f"{movie}.safetensors", {movie: slow_movie(TR, number)}, meta)
    test = {"test1": slow_movie(TR, 5), "test2": slow_movie(TR, 6)}
    write_arrays(tmp_path / "test.safetensors", test, {"movies": list(test), "computed_from": list(test)})
    return {
        "stimuli": [tmp_path / "test.safetensors"],
        "train_stimuli": [tmp_path / f"{movie}.safetensors" for movie in TRAIN],
    }


def test_the_first_frame_is_held() -> None:
    clips = slow_movie(3, 0)
    held = hold_first_frame(clips)
    assert held.shape == clips.shape
    assert (held == clips[:, :1]).all()
    assert (clips[:, 1:] != clips[:, :1]).any()


def test_blur_is_gaussian_over_space_and_leaves_colours_apart() -> None:
    frame = slow_movie(1, 0)[0, 0]
    soft = blurred_video(frame, 4, 0.125)
    expected = gaussian_filter1d(frame.astype(float), 2, axis=0, mode="nearest")
    expected = gaussian_filter1d(expected, 2, axis=1, mode="nearest")
    np.testing.assert_array_equal(soft, np.broadcast_to(np.rint(expected), (4, *frame.shape)))
    for wrong in (0, 1):
        with pytest.raises(ValueError, match="blur"):
            MakeBaselinesSettings(blur=wrong)


def test_make_baselines_writes_what_score_reads(stimuli: dict[str, list[Path]], tmp_path: Path) -> None:
    given = {**stimuli, "every": 2, "seed": 3, "settings": MakeBaselinesSettings()}
    out = tmp_path / "out.safetensors"
    make_baselines.main(baseline="static", out=out, **given)
    arrays, meta = read_arrays(out)
    truth = read_arrays(stimuli["stimuli"][0])[0]
    assert (meta["condition"], meta["computed_from"]) == ("static", ["test1", "test2"])
    assert arrays["test2/clip"].tolist() == [0, 2, 4]
    np.testing.assert_array_equal(arrays["test2"], hold_first_frame(truth["test2"][::2]))
    make_baselines.main(baseline="blurred", out=out, **given)
    arrays, meta = read_arrays(out)
    assert (meta["condition"], meta["computed_from"]) == ("blurred", [*TRAIN, "test1", "test2"])
    training = np.concatenate([read_arrays(path)[0][path.stem] for path in stimuli["train_stimuli"]])
    known = {blurred_video(frame, 1, 0.03125).tobytes() for clip in training for frame in clip}
    assert all(clip[0].tobytes() in known for clip in arrays["test1"])
    assert (arrays["test1"] == arrays["test1"][:, :1]).all()
    with pytest.raises(InputError, match="static or blurred"):
        make_baselines.main(baseline="grey", out=out, **given)
    with pytest.raises(InputError, match="no movie"):
        make_baselines.main(baseline="blurred", out=out, **(given | {"train_stimuli": []}))


def test_the_nearest_clip_is_the_one_whose_embedding_was_given(
    stimuli: dict[str, list[Path]], tmp_path: Path
) -> None:
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
    retrieve_clips.main(
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
