"""Means and tests over several trainings: against loops, and by simulated trainings that differ by seed."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from neurocine.errors import InputError
from neurocine.metrics.comparisons import (
    NOT_TESTED,
    OVER_CLIPS,
    OVER_TRAININGS,
    CompareResultsSettings,
    compare_clips,
)
from neurocine.metrics.statistics import (
    autocorrelation_time,
    block_bootstrap,
    mean_variances,
    sign_flip_p,
)
from neurocine.metrics.trainings import TrainedRow, TrainedRows, crossed_mean
from neurocine.simulate.courses import COURSES

SETTINGS = CompareResultsSettings(block_tr=6, draws=1000)
CLIPS = [np.arange(0, 240, 4)] * 2  # as many as the toy study has


def trainings(
    number: int, sds: tuple[float, float, float], studies: int, seed: int, effect: float = 0.0
) -> list[list[np.ndarray]]:
    """Draw differences of two experiments: per training and movie, (60, studies), one column a study.

    ``sds`` : of trainings, of scenes that all trainings share, of a training's own scenes
    """
    random = np.random.default_rng(seed)
    of_training, shared, own = sds

    def scenes() -> list[np.ndarray]:
        return [COURSES["scenes"](random, (240, studies))[::4] for _ in CLIPS]

    common = [effect + shared * part for part in scenes()]
    drawn = []
    for _ in range(number):
        level = of_training * random.normal(size=studies)
        drawn.append([part + level + own * mine for part, mine in zip(common, scenes(), strict=True)])
    return drawn


@pytest.mark.parametrize("number", [3, 5])
@pytest.mark.parametrize(
    "sds", [(0, 0, 1), (0.1, 0, 1), (0, 1, 1), (0.2, 0.5, 1), (0.3, 1, 0.5), (1, 0, 0.1)], ids=str
)
def test_experiments_that_differ_by_their_seeds_alone_are_not_called_different(
    number: int, sds: tuple[float, float, float]
) -> None:
    """Of 1500 studies without any effect at most one in twenty is below .05, whatever varies."""
    found = crossed_mean(trainings(number, sds, 1500, 1), CLIPS, 15)
    assert (found.p_value <= 0.05).mean() <= 0.06
    assert (found.p_value <= 0.01).mean() <= 0.015
    covered = (found.low <= 0) & (found.high >= 0)
    assert ((found.p_value > 0.05) == covered).all()


def test_one_training_of_each_would_be_called_different() -> None:
    """What the test over clips makes of trainings that differ by seed: half of them are 'significant'."""
    one = trainings(1, (0.3, 0, 1), 400, 2)[0]
    p = sign_flip_p(one, CLIPS, 15, 1000, np.random.default_rng(0))
    assert (p <= 0.05).mean() > 0.3
    several = crossed_mean(trainings(3, (0.3, 0, 1), 400, 2), CLIPS, 15)
    assert (several.p_value <= 0.05).mean() < 0.07


@pytest.mark.parametrize(("number", "least"), [(3, 0.6), (5, 0.9)])
def test_true_differences_are_found(number: int, least: float) -> None:
    """Six standard errors of a mean over trainings, none of which three trainings know well."""
    found = crossed_mean(trainings(number, (0.1, 0.3, 0.3), 500, 3, effect=0.45), CLIPS, 15)
    assert (found.p_value <= 0.05).mean() > least
    assert found.mean.mean() == pytest.approx(0.45, abs=0.02)


def test_crossed_means_equal_the_formula_of_one_study() -> None:
    """One movie, variances from lists of sums of blocks, and p by the solver of scipy."""
    drawn = np.random.default_rng(5).normal(0.4, 1, (4, 50))
    drawn += np.random.default_rng(6).normal(0, 0.2, (4, 1)) + np.random.default_rng(7).normal(0, 1, 50)
    found = crossed_mean([[one[:, None]] for one in drawn], [np.arange(50) * 20], 1)
    time = autocorrelation_time([drawn.mean(axis=0)[:, None]])[0]
    block = max(1, round(4 * time))

    def over_clips(scores: np.ndarray) -> float:
        ring, (full, rest) = np.concatenate([scores] * 2), divmod(50, block)
        whole = np.var([ring[start : start + block].sum() for start in range(50)])
        cut = np.var([ring[start : start + rest].sum() for start in range(50)])
        corrected = 50 / (50 - block) / (1 - min(0.5, (time - 1 / time) / (2 * block)))
        return float((full * whole + cut) / 50**2 * corrected)

    between = drawn.mean(axis=1).var(ddof=1) / 4
    shared = (4 * over_clips(drawn.mean(axis=0)) - np.mean([over_clips(one) for one in drawn])) / 3
    assert shared > 0

    def quantile(tail: float) -> float:
        parts = between * stats.t.isf(tail, 3) + shared * stats.t.isf(tail, 50 / block - 1)
        return float(parts / (between + shared))

    error = (between + shared) ** 0.5
    p = optimize.brentq(lambda p: quantile(p / 2) - drawn.mean() / error, 1e-9, 1)
    assert found.mean[0] == pytest.approx(drawn.mean())
    assert found.p_value[0] == pytest.approx(p)
    assert found.high[0] - found.low[0] == pytest.approx(2 * quantile(0.025) * error)


def test_variances_are_those_of_the_block_bootstrap() -> None:
    values = [part[:, :40] for part in trainings(1, (0, 1, 0), 40, 7)[0]]
    quick = mean_variances(values, CLIPS, 15)
    for column in (0, 13):
        parts = [part[:, column] for part in values]
        blocks = int(quick.block_tr[column] / 4)
        drawn = block_bootstrap(parts, [blocks, blocks], 40_000, np.random.default_rng(0)).var()
        time = autocorrelation_time([part[:, None] for part in parts])[0]
        drawn *= 60 / (60 - blocks) / (1 - (time - 1 / time) / (2 * blocks))
        assert quick.variance[column] == pytest.approx(drawn, rel=0.03)
        assert quick.freedom[column] == pytest.approx(2 * (60 / blocks - 1))


def test_equal_and_missing_values() -> None:
    """Equal trainings have p = 1, a missing metric none, and a difference without any spread next to 0."""
    values = [np.stack([np.zeros(60), np.full(60, np.nan), np.ones(60)], axis=1)] * 2
    found = crossed_mean([values] * 3, CLIPS, 15)
    assert found.p_value[0] == 1
    assert np.isnan(found.p_value[1])
    assert found.p_value[2] < 1e-20
    assert found.low[2] == found.high[2] == 1


def clips(experiment: str, level: float, training: float = 0.0, noise: int = 0, **owner: str) -> pd.DataFrame:
    """Scores of two generations of clips of two movies."""
    random = np.random.default_rng([noise, len(experiment)])
    course = np.random.default_rng(0).normal(0, 0.1, (2, 60))
    rows = []
    for seed, movie, clip in itertools.product((1, 2), range(2), range(0, 60, 2)):
        score = level + training + course[movie, clip] + random.normal(0, 0.03)
        rows.append({"movie": f"test{movie}", "clip": clip, "seed": seed, "ssim_mv": score})
    keys = {"subject": "1", "method": "neurocine", "experiment": experiment, "condition": "fmri"} | owner
    return pd.DataFrame(rows).assign(**keys)


def rows(*names: str, seeds: tuple[int, ...] = (7, 8), on: str = "decoder") -> dict[str, TrainedRow]:
    """Say which trainings stand behind experiments: each has its own ``on``."""
    found = {}
    for name in names:
        for seed in (None, *seeds):
            key = name if seed is None else f"{name}_train{seed}"
            found[key] = TrainedRow(experiment=name, train_seed=seed, trainings=(f"{on}/{name}",))
    return found


def study(levels: dict[str, float], spread: float, seeds: tuple[int, ...] = (7, 8)) -> list[pd.DataFrame]:
    tables = []
    for number, (name, level) in enumerate(levels.items()):
        tables.append(clips(name, level, noise=10 * number))
        for place, seed in enumerate(seeds):
            training = spread * (-1) ** (place + number)
            tables.append(clips(f"{name}_train{seed}", level, training, 10 * number + place + 1))
    return tables


def test_trainings_are_averaged_and_their_spread_is_a_column() -> None:
    tables = study({"a": 0.3}, 0.05)
    summary, _ = compare_clips(tables, "toy", SETTINGS, 0, TrainedRows(rows=rows("a")))
    row = summary.iloc[0]
    means = [table["ssim_mv"].mean() for table in tables]
    assert len(summary) == 1
    assert row["value"] == pytest.approx(np.mean(means))
    assert (row["trainings"], row["seeds"], row["n_clips"]) == (3, 2, 60)
    assert row["train_sd"] == pytest.approx(np.std(means, ddof=1))
    within = [table.groupby("seed")["ssim_mv"].mean().var(ddof=1) for table in tables]
    assert row["seed_sd"] == pytest.approx(np.sqrt(np.mean(within)))
    once, _ = compare_clips(tables[:1], "toy", SETTINGS, 0, TrainedRows(rows=rows("a")))
    assert not {"trainings", "train_sd"} & set(once.columns)
    assert row["ci_high"] - row["ci_low"] > 2 * (once["ci_high"] - once["ci_low"]).item()


def test_experiments_are_tested_over_three_trainings_and_not_over_fewer() -> None:
    """A difference of .02 among trainings that spread by .05 is none; among those that do not it is one."""
    trained = TrainedRows(rows=rows("a", "b"))
    for spread, different in ((0.05, False), (0.0, True)):
        tables = study({"a": 0.3, "b": 0.32}, spread)
        _, compared = compare_clips(tables, "toy", SETTINGS, 0, trained)
        row = compared.iloc[0]
        assert (row["kind"], row["trainings"], row["tested_over"]) == ("experiment", 3, OVER_TRAININGS)
        assert (row["p_value"] < 0.05) == different == (row["ci_low"] > 0)
        assert row["p_family"] == row["p_value"]  # alone in its family
    for seeds in ((), (7,)):
        tables = study({"a": 0.3, "b": 0.4}, 0, seeds)
        _, compared = compare_clips(tables, "toy", SETTINGS, 0, TrainedRows(rows=rows("a", "b", seeds=seeds)))
        row = compared.iloc[0]
        assert (row["trainings"], row["tested_over"]) == (1 + len(seeds), NOT_TESTED)
        assert compared[["p_value", "p_family"]].isna().all(axis=None)
        assert row["ci_low"] > 0.08


def test_experiments_on_the_same_trainings_are_tested_over_clips() -> None:
    """They differ in how clips are made; the seeds of trainings can change nothing between them."""
    same = {name: TrainedRow(experiment=name, trainings=("motion/paper",)) for name in ("a", "b")}
    _, compared = compare_clips(
        study({"a": 0.3, "b": 0.33}, 0, ()), "toy", SETTINGS, 0, TrainedRows(rows=same)
    )
    row = compared.iloc[0]
    assert row["tested_over"] == OVER_CLIPS
    assert row["p_value"] < 0.01
    assert row["p_family"] >= row["p_value"]


def test_conditions_of_one_training_are_tested_over_clips_and_of_three_over_both() -> None:
    control = clips("a", 0.2, condition="noise")
    captions = [table.assign(condition="nearest_caption", ssim_mv=0.25) for table in study({"a": 0.2}, 0.0)]
    tables = [*study({"a": 0.3}, 0.01), control, *captions]
    _, compared = compare_clips(tables, "toy", SETTINGS, 0, TrainedRows(rows=rows("a")))
    found = compared.set_index("second")[["trainings", "tested_over"]]
    assert found.loc["neurocine a noise"].tolist() == [1, OVER_CLIPS]
    assert found.loc["neurocine a nearest_caption"].tolist() == [3, OVER_TRAININGS]
    assert compared[["p_value", "p_family"]].notna().all(axis=None)


def test_a_baseline_that_is_not_trained_is_compared_with_every_training() -> None:
    ridge = clips("latents", 0.25, method="ridge", noise=5)
    trained = TrainedRows(rows={**rows("a"), "latents": TrainedRow(experiment="latents")})
    _, compared = compare_clips([*study({"a": 0.3}, 0.01), ridge], "toy", SETTINGS, 0, trained)
    to_beat = compared[compared["kind"] == "to beat"].iloc[0]
    assert (to_beat["trainings"], to_beat["tested_over"]) == (3, OVER_TRAININGS)
    assert to_beat["difference"] == pytest.approx(0.05, abs=0.01)
    _, compared = compare_clips([clips("a", 0.3), ridge], "toy", SETTINGS, 0, trained)
    to_beat = compared[compared["kind"] == "to beat"].iloc[0]
    assert to_beat["tested_over"] == NOT_TESTED
    assert np.isnan(to_beat["p_value"])


def test_trainings_of_other_seeds_are_no_pair() -> None:
    tables = [clips("a_train7", 0.3), clips("b", 0.3)]
    with pytest.raises(InputError, match="no training of one seed in both"):
        compare_clips(tables, "toy", SETTINGS, 0, TrainedRows(rows=rows("a", "b")))
