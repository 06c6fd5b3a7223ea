"""All runs of a simulated subject: what the program writes, and a run put together by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import simulate_subject as program
from neurocine.datasets.base import Recording
from neurocine.errors import InputError
from neurocine.fmri.cifti import check_dtseries, read_dtseries
from neurocine.fmri.parcellation import area_vertices
from neurocine.io import read_arrays, read_table, write_table
from neurocine.seeds import numpy_generator
from neurocine.simulate.brain import (
    DelayedRun,
    SimulateSubjectSettings,
    make_brain,
    make_tuning,
    simulate_run,
    training_covariance,
)
from neurocine.simulate.features import GROUPS, extract_features
from neurocine.simulate.response import volume_times
from neurocine.simulate.subject import simulate_subject
from neurocine.simulate.world import Scene, render_clip
from neurocine.stimuli.video import write_video

ROW = Recording("seg1", 1, 240, 2.0)


def v1_vertices() -> np.ndarray:
    areas = area_vertices()
    return np.sort(np.concatenate([areas[side, "V1"][::10] for side in (0, 1)]))


def write_movies(tmp_path: Path) -> None:
    """Write seg1.mp4 and test2.mp4, and their scripts."""
    for movie, scene in (
        ("seg1", Scene("car", "red", "right", "fog")),
        ("test2", Scene("fish", "blue", "up", "snow")),
    ):
        frames = np.concatenate(
            [render_clip(scene, [i / 10 for i in range(20)], 32, 32), np.zeros((5, 32, 32, 3), "u1")]
        )
        write_video(tmp_path / f"{movie}.mp4", frames, 10)
        row = {"movie": movie, "clip": 0, "shape": scene.shape, "direction": scene.direction}
        write_table(tmp_path / f"{movie}.tsv", pd.DataFrame([row, row | {"clip": 1, "shape": "bird"}]))


def test_a_run_is_that_of_the_subject_s_brain_at_the_movie_s_features(tmp_path: Path) -> None:
    write_movies(tmp_path)
    videos = {movie: tmp_path / f"{movie}.mp4" for movie in ("seg1", "test2")}
    scripts = {movie: read_table(path.with_suffix(".tsv"), ["clip"]) for movie, path in videos.items()}
    late = DelayedRun(subject=3, movie="test2", repeat=2, seconds=2.0)
    settings = SimulateSubjectSettings(delayed_runs=(late,))
    row = Recording("test2", 2, 240, 2.0)
    result = simulate_subject("3", [row], videos, scripts, ["seg1"], settings, seed=5)
    (bold,) = result.runs

    seconds = {"seg1": float(volume_times(245)[-1]), "test2": float(volume_times(246)[-1])}
    features, space = extract_features(videos, scripts, ["seg1"], seconds)
    covariance = training_covariance([features["seg1"]])
    brain = make_brain("3", make_tuning("3", space, covariance, settings, 5), settings, 5)
    generator = numpy_generator(5, "simulate_subject", "3", "test2", 2)
    expected = simulate_run(brain, features["test2"], 246, settings, generator, delay=2.0)
    np.testing.assert_array_equal(bold[:, ::50], expected[:, ::50])
    assert result.features == tuple(space.names)
    np.testing.assert_array_equal(result.truth["signal_share"], brain.share[:59412])
    assert not np.array_equal(result.truth["signal_share"], result.truth["signal_share_test"])


def test_program_writes_the_same_run_whatever_else_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_movies(tmp_path)
    common = {
        "subject": "3",
        "videos": [tmp_path / "seg1.mp4", tmp_path / "test2.mp4"],
        "scripts": [tmp_path / "seg1.tsv", tmp_path / "test2.tsv"],
        "train_movies": ["seg1"],
        "seed": 5,
        "settings": SimulateSubjectSettings(),
    }
    name, row = "test2_9_Atlas.dtseries.nii", Recording("test2", 9, 240, 2.0)
    program.main(
        **common, out=[tmp_path / name], recordings=[row.text()], truth=tmp_path / "sub-3.safetensors"
    )
    assert check_dtseries(tmp_path / name) == (246, 2.0)
    bold, _ = read_dtseries(tmp_path / name, v1_vertices())
    assert (bold.std(0) > 0).all()
    truth, meta = read_arrays(tmp_path / "sub-3.safetensors")
    assert truth["weights"].shape == (len(truth["tuned_vertex"]), len(meta["features"]))
    assert meta["groups"] == list(GROUPS)

    written: dict[str, np.ndarray] = {}
    monkeypatch.setattr(program, "write_dtseries", lambda path, data, tr: written.update({path.name: data}))
    runs = [tmp_path / "seg1_1_Atlas.dtseries.nii", tmp_path / name]
    program.main(
        **common, out=runs, recordings=[ROW.text(), row.text()], truth=tmp_path / "sub-3.safetensors"
    )
    assert {key: len(data) for key, data in written.items()} == {runs[0].name: 245, name: 246}
    np.testing.assert_array_equal(written[name][:, v1_vertices()], bold)
    with pytest.raises(InputError, match="movie seg2"):
        program.main(
            **common,
            out=[tmp_path / "seg2_1_Atlas.dtseries.nii"],
            recordings=[Recording("seg2", 1, 240, 2.0).text()],
            truth=tmp_path / "no.safetensors",
        )
