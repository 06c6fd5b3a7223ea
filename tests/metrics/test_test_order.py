"""Whether the order of frames tells the clip: permuted, reversed and held frames, and other clips."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import test_order as program
from metrics.tiny import write_decoded
from neurocine.io import read_table, write_arrays
from neurocine.metrics import order
from neurocine.metrics.judges import make_store
from neurocine.metrics.metric import Judge
from neurocine.metrics.score import Originals, Predictions, pair_scores
from neurocine.metrics.settings import ScoreSettings
from neurocine.metrics.statistics import sign_flip_p
from neurocine.seeds import numpy_generator
from tiny_models import write_clip

SIZE, FRAMES, CLIPS, SEED = 24, 4, 48, 7
SCORE = ScoreSettings(metrics=order.MEASURES, min_shift_tr=4, block_tr=2, null_draws=1000)
SETTINGS = order.OrderSettings(draws=1000, evidence_p=0.05)  # four frames have 23 other orders
FORWARD = np.arange(FRAMES)


def drifting_movie(n_clips: int, seed: int) -> np.ndarray:
    """Clips of a soft texture each, drifting its own way: uint8 (n, FRAMES, SIZE, SIZE, 3)."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    clips = np.empty((n_clips, FRAMES, SIZE, SIZE, 3))
    for clip in clips:
        angle, waves = generator.uniform(0, 2 * np.pi), generator.normal(size=(8, 2)) / 4
        phases = generator.uniform(0, 6.3, (8, 3))
        for time, frame in enumerate(clip):
            u, v = x - 1.5 * time * np.cos(angle), y - 1.5 * time * np.sin(angle)
            turns = waves[:, 0, None, None] * u + waves[:, 1, None, None] * v
            frame[:] = 128 + 20 * np.cos(turns[..., None] + phases[:, None, None]).sum(0)
    return np.clip(clips, 0, 255).astype(np.uint8)


MOVIES = {"test1": drifting_movie(CLIPS, 1), "test2": drifting_movie(CLIPS // 2, 2)}
INDEX = {movie: np.arange(len(clips)) for movie, clips in MOVIES.items()}
ORIGINALS = Originals((FRAMES, SIZE, SIZE, 3), lambda movie, clips: MOVIES[movie][clips], ())
SCORED = pd.DataFrame({"condition": ["fmri"], "seed": [SEED], "movie": ["test1"], "clip": [0]})


@pytest.fixture(scope="module")
def clip_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks") / "clip"
    write_clip(folder)
    return folder


def predictions(clips: dict[str, np.ndarray]) -> Predictions:
    return Predictions("fmri", SEED, INDEX, lambda movie: clips[movie])


def noisy(clips: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(3).normal(0, 8, clips.shape)
    return np.clip(clips + noise, 0, 255).astype(np.uint8)


def run_test(clips: dict[str, np.ndarray], network: Path, scored: pd.DataFrame = SCORED) -> pd.DataFrame:
    """Test clips as they are decoded: index condition, sample, metric."""
    table = order.test_order(
        predictions(clips), ORIGINALS, scored, {"clip": network}, SETTINGS, SCORE, 5, "cpu"
    )
    assert list(table.columns) == order.ORDER_COLUMNS
    return table.set_index(["condition", "sample", "metric"])


@pytest.fixture(scope="module")
def decoded(clip_network: Path) -> pd.DataFrame:
    return run_test({movie: noisy(clips) for movie, clips in MOVIES.items()}, clip_network)


@pytest.mark.parametrize("n_frames", range(2, 9))
def test_a_tour_goes_from_every_frame_to_every_other_once(n_frames: int) -> None:
    tour = order.frame_tour(n_frames).tolist()
    assert sorted(itertools.pairwise(tour)) == sorted(itertools.permutations(range(n_frames), 2))


def test_all_other_orders_are_compared_where_they_are_few() -> None:
    orders = order.frame_orders(4, 23, np.random.default_rng(0))
    assert orders[:3].tolist() == [[0, 1, 2, 3], [3, 2, 1, 0], [0, 0, 0, 0]]
    others = set(itertools.permutations(range(4))) - {(0, 1, 2, 3)}
    assert sorted(map(tuple, orders[3:].tolist())) == sorted(others)


def test_orders_are_drawn_where_there_are_many() -> None:
    orders = order.frame_orders(3, 4, np.random.default_rng(0))[3:]
    assert orders.shape == (4, 3)
    assert (np.sort(orders, axis=1) == np.arange(3)).all()
    assert (orders != np.arange(3)).any(axis=1).all()
    assert order.frame_orders(1, 100, np.random.default_rng(0)).shape == (3, 1)


def test_scores_of_an_order_are_those_of_clips_rearranged(clip_network: Path) -> None:
    truth, clips = MOVIES["test1"][:5], noisy(MOVIES["test1"][:5])
    orders = np.array([FORWARD, FORWARD[::-1], [0, 0, 0, 0], [2, 0, 3, 1]])
    store, labels = make_store({"clip": clip_network}, FRAMES, SCORE, {}, "cpu")
    judge = Judge(labels, SCORE)
    found = order.order_scores(store.run(clips), store.run(truth), orders, judge)
    for row, arrangement in enumerate(orders):
        rearranged = np.ascontiguousarray(clips[:, arrangement])
        expected = pair_scores(store.run(rearranged), store.run(truth), judge)
        for metric in order.MEASURES:
            np.testing.assert_allclose(found[metric][row], expected[metric].diagonal(), atol=2e-3)


def test_clips_in_the_order_of_the_truth_are_evidence(decoded: pd.DataFrame) -> None:
    row = decoded.loc[("fmri", "all", "flow_cos")]
    assert row["evidence"] == "evidence"
    assert row["value"] > 0.5 > row["permuted"]
    assert row["reversed"] < 0
    assert row["held"] == 0
    assert (row["orders"], row["n_clips"]) == (23, CLIPS + CLIPS // 2)
    assert row["permuted_p"] == pytest.approx(1 / 24)


def test_a_static_clip_has_consistency_1_and_is_no_evidence(decoded: pd.DataFrame) -> None:
    static = decoded.loc[("static", "all")]
    assert static.loc["clip_pcc_unthresholded", "value"] == pytest.approx(1, abs=1e-6)
    assert (static["evidence"] == "no evidence").all()
    assert (static[["permuted_p", "reversed_p", "held_p"]] == 1).all(axis=None)
    # Nor is the consistency of any clip: no clip is more consistent than one that does not move.
    assert (decoded.xs("clip_pcc_unthresholded", level="metric")["evidence"] == "no evidence").all()


def test_smooth_clips_of_something_else_are_no_evidence(clip_network: Path) -> None:
    others = {movie: np.roll(clips, len(clips) // 2, axis=0) for movie, clips in MOVIES.items()}
    table = run_test(others, clip_network).loc["fmri", "all"]
    # Smooth, as any video: no order is better, and the reversed one as good.
    assert table.loc["clip_pcc_unthresholded", "permuted_p"] == pytest.approx(2 / 24)
    assert (table["evidence"] == "no evidence").all()


def test_reversed_clips_are_no_evidence(clip_network: Path) -> None:
    backwards = {movie: clips[:, ::-1] for movie, clips in MOVIES.items()}
    row = run_test(backwards, clip_network).loc[("fmri", "all", "flow_cos")]
    assert row["value"] < 0 < row["reversed"]
    assert row["evidence"] == "no evidence"


def test_p_values_equal_those_of_plain_loops(clip_network: Path, decoded: pd.DataFrame) -> None:
    scores = {}  # of every order, all clips after each other
    store, labels = make_store({"clip": clip_network}, FRAMES, SCORE, {}, "cpu")
    judge = Judge(labels, SCORE)
    for arrangement in itertools.permutations(range(FRAMES)):
        values = []
        for clips in MOVIES.values():
            found = order.order_scores(
                store.run(noisy(clips)), store.run(clips), np.array([arrangement]), judge
            )
            values.append(found["epe_farneback"][0])
        scores[arrangement] = values
    means = {key: np.concatenate(values).mean() for key, values in scores.items()}
    own = means.pop(tuple(range(FRAMES)))
    row = decoded.loc[("fmri", "all", "epe_farneback")]
    assert row["value"] == pytest.approx(own)
    assert row["permuted"] == pytest.approx(np.mean(list(means.values())))
    as_good = sum(mean <= own for mean in means.values())
    assert row["permuted_p"] == pytest.approx((1 + as_good) / 24)
    pairs = zip(scores[(0, 1, 2, 3)], scores[(3, 2, 1, 0)], strict=True)
    differences = [(forward - backward)[:, None] for forward, backward in pairs]
    generator = numpy_generator(5, "test_order", "signs")
    expected = sign_flip_p(differences, list(INDEX.values()), SCORE.block_tr, SETTINGS.draws, generator)
    assert row["reversed_p"] == pytest.approx(expected[0])


def test_clips_are_identified_by_other_seeds_alone() -> None:
    rows = [("fmri", seed, "test1", clip, rank) for seed, clip, rank in
            ((7, 0, 1.0), (8, 0, 0.2), (7, 1, 0.1), (8, 1, 1.0), (9, 1, 0.92))]  # fmt: skip
    rows.append(("shifted", 8, "test1", 0, 1.0))
    scored = pd.DataFrame(rows, columns=["condition", "seed", "movie", "clip", "clip_id_2way"])
    assert order.identified_clips(scored, 7, 0.95) == {("test1", 1)}
    assert order.identified_clips(scored, 7, 0.97) == set()
    assert order.identified_clips(scored[scored["seed"] == 7], 7, 0.0) == set()
    assert order.identified_clips(scored.drop(columns="clip_id_2way"), 7, 0.0) == set()


def test_identified_clips_are_a_sample_of_their_own(clip_network: Path, decoded: pd.DataFrame) -> None:
    found = range(0, CLIPS, 3)
    rows = {"condition": "fmri", "seed": SEED + 1, "movie": "test1", "clip": found, "clip_id_2way": 1.0}
    table = run_test(
        {movie: noisy(clips) for movie, clips in MOVIES.items()}, clip_network, pd.DataFrame(rows)
    )
    assert set(table.index.get_level_values("sample")) == {"all", "identified"}
    sample = table.loc[("fmri", "identified")]
    assert (sample["n_clips"] == len(found)).all()
    pd.testing.assert_frame_equal(table.loc[("fmri", "all")], decoded.loc[("fmri", "all")])
    few = pd.DataFrame(rows).head(order.FEWEST_CLIPS - 1)
    assert set(run_test(MOVIES, clip_network, few).index.get_level_values("sample")) == {"all"}


def test_command_line(clip_network: Path, decoded: pd.DataFrame, tmp_path: Path) -> None:
    clips = {movie: (INDEX[movie][::-1], noisy(part)[::-1]) for movie, part in MOVIES.items()}
    written: dict[str, Any] = {"decoded": write_decoded(tmp_path / "fmri.safetensors", "fmri", clips)}
    write_arrays(tmp_path / "test.safetensors", MOVIES, {})
    SCORED.to_csv(tmp_path / "clips.tsv", sep="\t", index=False)
    written |= {"stimuli": [tmp_path / "test.safetensors"], "clip_scores": tmp_path / "clips.tsv"}
    out = tmp_path / "order.tsv"
    program.main(
        **written,
        networks=[f"clip={clip_network}"],
        seed=5,
        settings=SETTINGS,
        score=SCORE,
        out=out,
        device="cpu",
    )
    table = read_table(out).set_index(["condition", "sample", "metric"])
    np.testing.assert_allclose(table["value"], decoded["value"], atol=1e-6)
    assert table["evidence"].tolist() == decoded["evidence"].tolist()
    assert "other orders" in out.with_suffix(".json").read_text()
