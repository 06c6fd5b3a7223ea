"""Turned scenes: where a thing points, keeps and starts tells nothing of where it goes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurocine.seeds import numpy_generator
from neurocine.simulate.features import script_features, script_kinds
from neurocine.simulate.movies import SimulateMoviesSettings, draw_movie
from neurocine.simulate.world import DIRECTIONS, render_frame, scripted_scenes, write_script

N_CLIPS = 4000


def script(share: float | None) -> pd.DataFrame:
    turned = None if share is None else (share, np.random.default_rng(1))
    return write_script("seg1", N_CLIPS, np.random.default_rng(0), 0.25, turned=turned)


def test_without_turned_scenes_the_world_is_the_one_it_was() -> None:
    usual, none = script(None), script(0.0)
    assert "heading" not in usual.columns
    pd.testing.assert_frame_equal(none.drop(columns="heading"), usual)
    assert (none["heading"] == none["direction"]).all()


def test_turned_scenes_keep_what_they_show_and_draw_the_rest_anew() -> None:
    usual, turned = script(None), script(1.0)
    same = ["movie", "clip", "scene", "shape", "colour", "direction", "background", "speed"]
    pd.testing.assert_frame_equal(turned[same], usual[same])
    assert turned["start"].abs().max() <= 0.12
    for _, scene in turned.groupby("scene"):
        assert scene["heading"].nunique() == scene["lane"].nunique() == 1


def test_a_still_of_a_turned_scene_tells_nothing_of_the_direction() -> None:
    scenes = script(1.0).groupby("scene").first()
    table = pd.crosstab(scenes["heading"], scenes["direction"])
    expected = np.outer(table.sum(axis=1), table.sum()) / len(scenes)
    # Chi squared with 9 degrees of freedom exceeds 27.9 once in a thousand.
    assert ((table.to_numpy() - expected) ** 2 / expected).sum() < 27.9
    for name in ("lane", "start"):
        means = script(1.0).groupby("direction")[name].mean()
        assert means.abs().max() < 0.03  # the default world: lane .16, start -.26


def test_a_share_of_the_scenes_is_turned() -> None:
    scenes = script(0.5).groupby("scene").first()
    # A quarter of the turned things point where they go all the same.
    assert (scenes["heading"] != scenes["direction"]).mean() == pytest.approx(0.5 * 0.75, abs=0.05)


def test_things_are_drawn_and_seen_as_they_point() -> None:
    table = script(1.0)
    row = int(np.flatnonzero(table["heading"] != table["direction"])[0])
    scene = scripted_scenes(table)[row]
    assert (scene.heading, scene.direction) == tuple(table.loc[row, ["heading", "direction"]])
    forward = scripted_scenes(table.drop(columns="heading"))[row]
    assert not np.array_equal(render_frame(scene, 0, 32, 32), render_frame(forward, 0, 32, 32))
    kinds = script_kinds([table])
    assert {direction for _, direction in kinds} == {"", *DIRECTIONS}
    seen = script_features(table, kinds, 4 * N_CLIPS)[4 * row]
    assert [kinds[place] for place in np.flatnonzero(seen)] == [
        (scene.shape, ""),
        (scene.shape, scene.heading),
    ]


def test_a_movie_is_turned_by_its_setting_alone(tmp_path: Path) -> None:
    small = {"clips_per_movie": 3, "size": 16, "fps": 6, "tail_seconds": 0.0}
    made = {}
    for share in (0.0, 1.0):
        settings = SimulateMoviesSettings(turned_share=share, **small)
        made[share] = draw_movie(tmp_path / "seg1.mp4", "seg1", True, settings, 5)
    expected = write_script("seg1", 3, numpy_generator(5, "script", "seg1"), 0.0)
    pd.testing.assert_frame_equal(made[0.0], expected)
    assert made[1.0]["direction"].tolist() == expected["direction"].tolist()
    assert "heading" in made[1.0]
