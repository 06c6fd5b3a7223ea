"""Clips that need no brain: what is held, what is blurred, and the files that the scorer reads."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

import make_baselines as program
from metrics.tiny import TRAIN, slow_movie, write_stimuli
from neurocine.errors import InputError
from neurocine.io import read_arrays
from neurocine.metrics.baselines import (
    MakeBaselinesSettings,
    blurred_video,
    hold_first_frame,
    make_baselines,
)
from neurocine.seeds import numpy_generator
from neurocine.stimuli.cached import random_frames


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


def test_make_baselines_writes_what_score_reads(tmp_path: Path) -> None:
    stimuli = write_stimuli(tmp_path)
    given = {**stimuli, "every": 2, "seed": 3, "settings": MakeBaselinesSettings()}
    out = tmp_path / "out.safetensors"
    program.main(baseline="static", out=out, **given)
    arrays, meta = read_arrays(out)
    truth = read_arrays(stimuli["stimuli"][0])[0]
    assert (meta["condition"], meta["computed_from"]) == ("static", ["test1", "test2"])
    assert arrays["test2/clip"].tolist() == [0, 2, 4]
    np.testing.assert_array_equal(arrays["test2"], hold_first_frame(truth["test2"][::2]))
    program.main(baseline="blurred", out=out, **given)
    arrays, meta = read_arrays(out)
    assert (meta["condition"], meta["computed_from"]) == ("blurred", [*TRAIN, "test1", "test2"])
    training = np.concatenate([read_arrays(path)[0][path.stem] for path in stimuli["train_stimuli"]])
    known = {blurred_video(frame, 1, 0.03125).tobytes() for clip in training for frame in clip}
    assert all(clip[0].tobytes() in known for clip in arrays["test1"])
    assert (arrays["test1"] == arrays["test1"][:, :1]).all()
    with pytest.raises(InputError, match="static or blurred"):
        program.main(baseline="grey", out=out, **given)
    with pytest.raises(InputError, match="no movie"):
        program.main(baseline="blurred", out=out, **(given | {"train_stimuli": []}))


def test_every_blurred_clip_has_a_frame_of_its_own_draw() -> None:
    shown = [("test1", np.array([0, 2]), slow_movie(2, 5)), ("test2", np.array([1]), slow_movie(1, 6))]
    frames = slow_movie(8, 0).reshape(-1, *slow_movie(1, 0).shape[2:])
    drawn: list[int] = []

    def draw(n: int, generator: np.random.Generator) -> np.ndarray:
        rows = generator.integers(len(frames), size=n)
        drawn.extend(rows)
        return frames[rows]

    arrays = make_baselines("blurred", shown, draw, MakeBaselinesSettings(blur=0.125), seed=3)
    expected = [
        row
        for movie, n in (("test1", 2), ("test2", 1))
        for row in numpy_generator(3, "make_baselines", movie).integers(len(frames), size=n)
    ]
    assert drawn == expected
    assert list(arrays) == ["test1/clip", "test1", "test2/clip", "test2"]
    for clip, row in zip([*arrays["test1"], *arrays["test2"]], expected, strict=True):
        np.testing.assert_array_equal(clip, blurred_video(frames[row], clip.shape[0], 0.125))


def test_random_frames_are_drawn_from_all_movies_alike(tmp_path: Path) -> None:
    files = write_stimuli(tmp_path)["train_stimuli"]
    everything = np.concatenate([read_arrays(path)[0][path.stem] for path in files])
    everything = everything.reshape(-1, *everything.shape[2:])
    places = np.random.default_rng(4).integers(len(everything), size=5)
    frames = list(random_frames(files, 5, np.random.default_rng(4)))
    np.testing.assert_array_equal(frames, everything[places])
