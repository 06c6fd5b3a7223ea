"""The noise ceiling against the simulator's known one, a slow loop, and its limits."""

from pathlib import Path

import numpy as np
import pytest

import measure_noise_ceiling as program
from fmri_runs import recording
from neurocine.errors import InputError
from neurocine.fmri.ceiling import (
    MeasureNoiseCeilingSettings,
    measure_noise_ceiling,
    spearman_brown,
    split_half_share,
    split_in_halves,
)
from neurocine.fmri.parcellation import area_vertices
from neurocine.fmri.preprocess import PreprocessRunSettings, clean_run
from neurocine.fmri.vertices import SelectVerticesSettings, VertexSelection, select_vertices
from neurocine.io import read_table, write_arrays
from neurocine.seeds import numpy_generator
from neurocine.simulate.brain import (
    SimulateSubjectSettings,
    make_brain,
    make_tuning,
    noise_ceiling,
    simulate_run,
    training_covariance,
)
from neurocine.simulate.features import FeatureSpace, feature_names

SETTINGS = MeasureNoiseCeilingSettings()
AREAS = ("V1", "V3A", "FFC", "MT")


@pytest.fixture(scope="module")
def simulated() -> tuple[dict[str, np.ndarray], VertexSelection, np.ndarray]:
    """Two movies with four and three repeats of cleaned runs, and each vertex' known share of signal."""
    names = feature_names([(shape, "") for shape in ("arrow", "bird", "car", "fish")])
    space = FeatureSpace(names, np.zeros(len(names), np.float32), np.ones(len(names), np.float32))
    movies = {}
    for movie in ("test1", "test2"):
        scenes = numpy_generator(0, movie).standard_normal((123, len(names)))
        movies[movie] = np.repeat(scenes, 8, axis=0)[:984].astype(np.float32)
    settings = SimulateSubjectSettings()
    tuning = make_tuning("1", space, training_covariance(list(movies.values())), settings, 7)
    selection = select_vertices(SelectVerticesSettings(areas=AREAS, every=2))
    order = np.sort(selection.vertex)
    brain = make_brain("1", tuning, settings, 7, order)
    place = np.searchsorted(order, selection.vertex)
    repeats = {}
    for movie, features in movies.items():
        runs = [
            simulate_run(brain, features, 245, settings, numpy_generator(7, movie, repeat))[:, place]
            for repeat in range(4)
        ]
        repeats[movie] = np.stack(
            [clean_run(run, recording(n_clips=240), PreprocessRunSettings(), movie) for run in runs]
        )
    repeats["test2"][1] = np.nan
    return repeats, selection, brain.share[place].astype(np.float64)


def test_ceilings_agree_with_the_known_ones_within_5_percent(
    simulated: tuple[dict[str, np.ndarray], VertexSelection, np.ndarray],
) -> None:
    repeats, selection, share = simulated
    table = measure_noise_ceiling(repeats, selection, SETTINGS, 1).set_index(["group", "area"])
    assert table.index[0] == ("all", "all")
    assert set(table.index.get_level_values("area")) == {"all", *AREAS}
    for (group, area), row in table.iterrows():
        inside = np.full(len(share), True)
        if area != "all":
            inside = selection.area == selection.areas.index(area)
        elif group != "all":
            inside = np.array(selection.groups)[selection.area] == group
        reliability = np.mean([noise_ceiling(share[inside], k) ** 2 for k in (4, 3)])
        assert row["ceiling_mean"] == pytest.approx(np.sqrt(reliability), rel=0.05)
        assert row["ceiling_single"] == pytest.approx(np.sqrt(share[inside].mean()), rel=0.05)
        assert row["n_vertices"] == inside.sum()
    assert (table["fewest_repeats"] == 3).all()
    assert (table["most_repeats"] == 4).all()
    assert share.mean() > 0.1


def test_noise_alone_has_no_ceiling() -> None:
    selection = select_vertices(SelectVerticesSettings(areas=AREAS, every=4))
    noise = np.random.default_rng(0).normal(size=(3, 240, len(selection.vertex))).astype(np.float32)
    table = measure_noise_ceiling({"test1": noise}, selection, SETTINGS, 1)
    assert table["signal_share"].abs().max() < 0.03
    assert table["ceiling_mean"].iloc[0] < 0.15


def test_halves_are_all_splits_or_drawn_ones() -> None:
    generator = np.random.default_rng(0)
    for n, number in ((2, 1), (3, 3), (4, 3), (5, 15), (6, 10)):
        splits = split_in_halves(n, 100, generator)
        assert len({frozenset((frozenset(a), frozenset(b))) for a, b in splits}) == len(splits) == number
        assert all(len(a) == len(b) == n // 2 and not set(a) & set(b) for a, b in splits)
    for n in (10, 21):
        splits = split_in_halves(n, 100, generator)
        assert len(splits) == 100
        assert all(len(a) == len(b) == n // 2 and not set(a) & set(b) for a, b in splits)


def test_share_equals_a_slow_loop() -> None:
    repeats = np.random.default_rng(0).normal(size=(4, 30, 5)) + np.random.default_rng(1).normal(size=(30, 5))
    repeats[:, :, 4] = 7
    splits = split_in_halves(4, 100, np.random.default_rng(0))
    found = split_half_share(repeats, splits)
    for vertex in range(4):
        each = [
            np.corrcoef(repeats[a, :, vertex].mean(0), repeats[b, :, vertex].mean(0))[0, 1] for a, b in splits
        ]
        assert found[vertex] == pytest.approx(np.mean(each) / (2 - np.mean(each)))
    assert found[4] == 0
    assert spearman_brown(np.array(0.5), 3) == pytest.approx(0.75)
    assert spearman_brown(spearman_brown(np.array(0.3), 5), 1 / 5) == pytest.approx(0.3)


def test_program_and_single_repeats(tmp_path: Path) -> None:
    selection = select_vertices(SelectVerticesSettings(areas=AREAS, every=4))
    write_arrays(tmp_path / "vertices.safetensors", selection.arrays(), selection.meta())
    n = len(selection.vertex)
    assert n > len(area_vertices()[0, "V1"]) // 4
    signal = np.random.default_rng(0).normal(size=(40, n))
    runs = (signal + np.random.default_rng(1).normal(size=(2, 40, n))).astype(np.float32)
    alone = runs.copy()
    alone[1] = np.nan
    tables = []
    for number, movies in enumerate(({"test1": runs}, {"test1": runs, "test2": alone}, {"test2": alone})):
        path = tmp_path / f"{number}.safetensors"
        write_arrays(path, movies, {"movies": list(movies)})
        out = tmp_path / f"{number}.tsv"
        program.main(
            runs=[path], vertices=tmp_path / "vertices.safetensors", seed=1, settings=SETTINGS, out=out
        )
        tables.append(read_table(out))
    assert tables[0].equals(tables[1])
    assert tables[0]["signal_share"][0] == pytest.approx(0.5, abs=0.05)
    assert tables[2]["ceiling_mean"].isna().all()
    assert (tables[2]["movies"] == 0).all()
    with pytest.raises(InputError, match="vertices"):
        measure_noise_ceiling({"test1": runs[:, :, 1:]}, selection, SETTINGS, 1)
    with pytest.raises(InputError, match="once more"):
        program.main(
            runs=[tmp_path / "0.safetensors"] * 2,
            vertices=tmp_path / "vertices.safetensors",
            seed=1,
            settings=SETTINGS,
            out=out,
        )
    with pytest.raises(ValueError, match="splits"):
        MeasureNoiseCeilingSettings(splits=0)
