"""Stimulus features of the simulated brain on pictures with a known answer."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurocine.errors import InputError
from neurocine.simulate.features import (
    GRID,
    GROUPS,
    HOG_DIMENSIONS,
    N_HUES,
    SIDE,
    bin_times,
    colour_features,
    contrast_features,
    extract_features,
    feature_names,
    gradient_histogram_features,
    motion_features,
    script_features,
    script_kinds,
    standardise,
)
from neurocine.simulate.world import DIRECTIONS, Scene, render_clip
from neurocine.stimuli.video import write_video

LUMA = np.array([0.299, 0.587, 0.114])


def test_contrast_is_found_where_it_is() -> None:
    grey = np.full((3, SIDE, SIDE), 0.5, np.float32)
    grey[1, 17:23, 41:47] = 1.0  # within row 2, column 5
    grey[2, 17:23, 41:47] = 0.6
    contrast = contrast_features(grey)
    assert not contrast[0].any()
    assert contrast[1].argmax() == 2 * GRID + 5
    assert np.count_nonzero(contrast[1]) == 1
    # Saturating: five times the contrast is more, but less than five times as much.
    assert contrast[2].max() < contrast[1].max() < 5 * contrast[2].max()


@pytest.mark.parametrize(("rgb", "hue"), [((255, 0, 0), 0), ((0, 255, 0), 4), ((0, 0, 255), 8)])
def test_hue_lands_in_its_bin(rgb: tuple[int, int, int], hue: int) -> None:
    frames = np.full((1, SIDE, SIDE, 3), 128, np.uint8)
    frames[0, :32, :32] = rgb  # a quarter of the frame
    colour = colour_features(frames)[0]
    assert colour[:N_HUES].argmax() == hue
    assert colour[hue] == pytest.approx(0.5)  # square root of the area
    assert np.count_nonzero(colour[:N_HUES]) == 1
    assert colour[N_HUES + 1] == pytest.approx(0.25)  # mean saturation
    assert colour[N_HUES] == pytest.approx((0.75 * 128 + 0.25 * LUMA @ rgb) / 255, rel=1e-4)


def test_grey_has_no_hue() -> None:
    assert not colour_features(np.full((2, SIDE, SIDE, 3), 90, np.uint8))[:, :N_HUES].any()


@pytest.mark.parametrize("background", ["night", "snow"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_motion_direction_and_speed(direction: str, background: str) -> None:
    def motion(speed: float) -> np.ndarray:
        scene = Scene("car", "red", direction, background, speed=speed, start=-speed)
        frames = render_clip(scene, [1.0, 1.0 + 1 / 15], SIDE, SIDE)
        return motion_features((frames @ LUMA / 255).astype(np.float32)[None])[0]

    order = ["right", "down", "left", "up"]
    fast, slow, still = motion(0.3), motion(0.15), motion(0.0)
    assert fast[:8].argmax() == 2 * order.index(direction)
    opposite = (2 * order.index(direction) + 4) % 8
    assert fast[opposite] < 0.2 * fast[:8].max()
    assert fast[8] > 1.2 * slow[8] > 0
    np.testing.assert_allclose(still, 0, atol=1e-6)


def test_gradient_histograms_tell_shapes_apart_and_are_fixed() -> None:
    scenes = [Scene(shape, "red", "right", "fog") for shape in ("car", "fish", "car")]
    grey = np.concatenate([render_clip(scene, [1.0], SIDE, SIDE) for scene in scenes]) @ LUMA / 255
    projected = gradient_histogram_features(grey.astype(np.float32))
    assert projected.shape == (3, HOG_DIMENSIONS)
    np.testing.assert_array_equal(projected[0], projected[2])
    assert np.abs(projected[0] - projected[1]).max() > 0.1


def script(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        {"clip": range(len(rows)), "shape": [r[0] for r in rows], "direction": [r[1] for r in rows]}
    )


def test_script_features_follow_the_clips_and_hold_the_last() -> None:
    table = script(("fish", "left"), ("car", "up"))
    kinds = script_kinds([table])
    assert kinds == [
        ("car", ""),
        ("car", "left"),
        ("car", "up"),
        ("fish", ""),
        ("fish", "left"),
        ("fish", "up"),
    ]
    values = script_features(table.iloc[::-1], kinds, 12)
    np.testing.assert_array_equal(values[:4], np.tile([0, 0, 0, 1, 1, 0], (4, 1)))
    np.testing.assert_array_equal(values[4:], np.tile([1, 0, 1, 0, 0, 0], (8, 1)))


def test_standardise_uses_training_movies_only_and_silences_constant_features() -> None:
    generator = np.random.default_rng(0)
    raw = {name: generator.normal(3, 2, (40, 3)).astype(np.float32) for name in ("a", "b", "c")}
    for values in raw.values():
        values[:, 2] = 5
    raw["c"][:, 2] = 9
    scaled, space = standardise(raw, ["a", "b"], ("contrast/x", "colour/y", "motion/z"))
    train = np.concatenate([raw["a"], raw["b"]])
    np.testing.assert_allclose(
        scaled["c"][:, :2], ((raw["c"] - train.mean(0)) / train.std(0).clip(1e-9))[:, :2], rtol=1e-4
    )
    assert not scaled["c"][:, 2].any()
    np.testing.assert_array_equal(space.group, [0, 1, 3])


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two movies of 4 s and of different size: a thing that moves, then another."""
    folder = tmp_path_factory.mktemp("movies")
    paths = {}
    for name, side in (("seg1", 64), ("test1", 96)):
        frames = [
            render_clip(scene, [i / 30 for i in range(60)], side, side)
            for scene in (Scene("car", "red", "right", "night"), Scene("fish", "green", "up", "snow"))
        ]
        paths[name] = folder / f"{name}.mp4"
        write_video(paths[name], np.concatenate(frames), 30)
    return paths


def test_pairs_stay_within_their_bin_and_the_movie(movies: dict[str, Path]) -> None:
    times = bin_times(movies["seg1"], 12)
    np.testing.assert_allclose(np.diff(times[:8]), 1 / 15)
    assert (times[:8, 0] > np.arange(8) * 0.5).all()
    assert (times[:8, 1] < np.arange(1, 9) * 0.5).all()
    assert (times[8:] < 4).all()
    assert not np.diff(times[8:]).any()


@pytest.mark.parametrize("scripted", [True, False])
def test_extract_features_from_any_movie(movies: dict[str, Path], scripted: bool) -> None:
    table = script(("car", "right"), ("fish", "up"))
    scripts = dict.fromkeys(movies, table) if scripted else {}
    features, space = extract_features(movies, scripts, ["seg1"], dict.fromkeys(movies, 6.0))
    assert features["seg1"].shape == features["test1"].shape == (12, len(space.names))
    assert set(np.unique(space.group)) == set(range(len(GROUPS)))
    assert all(values.dtype == np.float32 and np.isfinite(values).all() for values in features.values())
    column = {name: index for index, name in enumerate(space.names)}
    right = features["seg1"][:, column["motion/0 degrees"]]
    assert right[:4].min() > right[4:8].max()
    # After its end the movie stands still.
    speed = features["seg1"][:, column["motion/speed"]]
    assert speed[8:].max() < speed[:8].min()
    # The same movie at another size looks much the same.
    red = column["colour/hue 0"]
    np.testing.assert_allclose(features["test1"][:, red], features["seg1"][:, red], atol=0.3)
    assert len(feature_names(script_kinds([table]) if scripted else [])) == len(space.names)


def test_scripts_for_some_movies_only_are_refused(movies: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="test1"):
        extract_features(movies, {"seg1": script(("car", "up"))}, ["seg1"], dict.fromkeys(movies, 6.0))


@pytest.mark.parametrize("train", [[], ["seg9"]])
def test_training_movies_need_videos(movies: dict[str, Path], train: list[str]) -> None:
    with pytest.raises(InputError, match="train movies"):
        extract_features(movies, {}, train, dict.fromkeys(movies, 6.0))
