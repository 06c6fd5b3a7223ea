"""Movies for simulated subjects: what is drawn, what is cut, and that each depends on its name alone."""

from pathlib import Path

import numpy as np
import pytest

import simulate_movies as program
from neurocine.errors import InputError
from neurocine.io import read_table
from neurocine.simulate.movies import SimulateMoviesSettings, simulate_movies
from neurocine.simulate.world import held_out_combinations
from neurocine.stimuli.video import read_all_frames, read_frames_at, video_info, write_video

SMALL = SimulateMoviesSettings(clips_per_movie=12, tail_seconds=2, fps=6, size=32, held_out_share=1.0)


def test_drawn_movies_follow_their_scripts(tmp_path: Path) -> None:
    out = [tmp_path / f"{movie}.mp4" for movie in ("seg1", "test1")]
    scripts = [path.with_suffix(".tsv") for path in out]
    program.main(train_movies=["seg1"], seed=5, settings=SMALL, out=out, scripts=scripts)
    for path, script in zip(out, scripts, strict=True):
        table = read_table(script, ["movie", "clip", "scene", "colour", "shape", "direction"])
        assert table["clip"].tolist() == list(range(12))
        assert set(table["movie"]) == {path.stem}
        lengths = table.groupby("scene").size()
        assert lengths.iloc[:-1].between(SMALL.shortest_scene, SMALL.longest_scene).all()
        info = video_info(path)
        assert (info.fps, info.duration) == (6, pytest.approx(12 * 2 + 2, abs=0.01))
        combinations = zip(table["colour"], table["shape"], table["direction"], strict=True)
        unseen = [combination in held_out_combinations() for combination in combinations]
        assert not any(unseen) if path.stem == "seg1" else all(unseen)
    frames = read_all_frames(out[0]).astype(float)
    moves = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    assert moves[-10:].max() < 0.2 * np.median(moves[: 12 * 2 * 6 - 1])  # the tail stands still


def test_a_movie_depends_on_its_name_and_the_seed_alone(tmp_path: Path) -> None:
    def script(names: list[str], seed: int) -> dict[str, list[object]]:
        paths = [tmp_path / f"{name}.mp4" for name in names]
        tables = list(simulate_movies(paths, ["seg1", "seg2"], SMALL, seed))
        return {name: table.values.tolist() for name, table in zip(names, tables, strict=True)}

    both, alone = script(["seg1", "seg2"], 5), script(["seg2"], 5)
    assert both["seg2"] == alone["seg2"]
    assert both["seg1"] != both["seg2"]
    assert script(["seg2"], 6) != alone


def test_cut_movies_take_their_scenes_from_the_sources_in_turn(tmp_path: Path) -> None:
    sources = []
    for number in range(2):
        frames = np.zeros((120, 32, 32, 3), np.uint8)
        frames[:, :, :, number] = 255
        sources.append(tmp_path / f"source{number}.mp4")
        write_video(sources[-1], frames, 6)
    settings = SMALL.model_copy(update={"sources": tuple(map(str, sources))})
    paths = [tmp_path / f"seg{number}.mp4" for number in range(3)]
    tables = list(simulate_movies(paths, ["seg0"], settings, 5))
    for number, (path, table) in enumerate(zip(paths, tables, strict=True)):
        assert set(table["source"]) == {f"source{number % 2}.mp4"}
        assert (table["start"] <= 20 - 2).all()
        frame = read_frames_at(path, [3.0])[0].mean((0, 1))
        assert frame.argmax() == number % 2
    short = SMALL.model_copy(
        update={"sources": (str(sources[0]),), "shortest_scene": 11, "longest_scene": 12}
    )
    with pytest.raises(InputError, match=r"20.0 s; expected at least 22 s"):
        list(simulate_movies([tmp_path / "seg9.mp4"], [], short, 5))
