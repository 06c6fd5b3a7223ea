"""The lag sweep against a slow ridge regression, and on fMRI whose lag and noise are known."""

import json
from pathlib import Path

import numpy as np
import pytest

import sweep_lags as program
from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.io import read_table, write_arrays
from neurocine.metrics.lags import MovieEmbeddings, SweepLagsSettings, fit_ridge, sweep_lags
from neurocine.report.lags import lag_section

SETTINGS = SweepLagsSettings(lags=(-1, 0, 2), min_distance_tr=3, bootstrap_draws=100, draws=3)
N_VERTICES, N_FEATURES = 30, 6


def unit(values: np.ndarray) -> np.ndarray:
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True))


def simulate(
    lag: int, noise: float, seed: int = 0
) -> tuple[SubjectFmri, SubjectFmri, dict[str, MovieEmbeddings]]:
    """Samples that hold, ``lag`` TR late, a linear image of their clip's embedding; four test repeats."""
    draw = np.random.default_rng(seed)
    mixing = draw.normal(size=(N_FEATURES, N_VERTICES))
    embeddings, bold = {}, {}
    for movie, length in {"seg1": 60, "seg2": 50, "test1": 40, "test2": 30}.items():
        text = unit(draw.normal(size=(length, 2, N_FEATURES)) + 1)
        embeddings[movie] = MovieEmbeddings(
            text, unit(text[:, :1] + 0.1 * draw.normal(size=(length, 1, N_FEATURES)))
        )
        signal = np.roll(unit(text.mean(1)) - 0.4, lag, axis=0) @ mixing
        bold[movie] = (signal + noise * draw.normal(size=(4, *signal.shape))).astype(np.float32)
    train = SubjectFmri({movie: bold[movie].mean(0) for movie in ("seg1", "seg2")})
    repeats = {movie: bold[movie] for movie in ("test1", "test2")}
    repeats["test2"] = repeats["test2"].copy()
    repeats["test2"][1] = np.nan  # a missing run
    test = SubjectFmri({movie: np.nanmean(values, axis=0) for movie, values in repeats.items()}, repeats)
    return train, test, embeddings


def slow_scores(
    train: SubjectFmri,
    test: dict[str, np.ndarray],
    embeddings: dict[str, MovieEmbeddings],
    lag: int,
    settings: SweepLagsSettings,
) -> tuple[float, float]:
    """Cosine and identification: primal ridge regression, then one pair of clips after another."""
    before, after = max(0, -min(settings.lags)), max(0, *settings.lags)

    def rows(movies: list[str], bold: dict[str, np.ndarray]) -> list[tuple[str, int, np.ndarray]]:
        return [(m, j, bold[m][j + lag]) for m in movies for j in range(before, len(bold[m]) - after)]

    def directions(found: list[tuple[str, int, np.ndarray]], kind: str) -> np.ndarray:
        return np.array([unit(getattr(embeddings[m], kind)[j].mean(0)) for m, j, _ in found])

    learn, score = rows(list(train.bold), train.bold), rows(list(test), test)
    samples = np.array([x for *_, x in learn], np.float64)
    mean = {kind: directions(learn, kind).mean(0) for kind in ("text", "image")}
    wanted = sum(unit(directions(learn, kind) - mean[kind]) for kind in mean)
    penalty = settings.penalty * np.mean([x @ x for x in samples])
    weights = np.linalg.inv(samples.T @ samples + penalty * np.eye(N_VERTICES)) @ samples.T @ wanted
    cosines, shares = [], []
    for kind in mean:
        targets = unit(directions(score, kind) - mean[kind])
        for (movie, clip, x), own in zip(score, targets, strict=True):
            predicted = unit(x @ weights)
            cosines.append(predicted @ own)
            rivals = [
                predicted @ target
                for (other, at, _), target in zip(score, targets, strict=True)
                if other != movie or abs(at - clip) >= settings.min_distance_tr
            ]
            shares.append(np.mean(predicted @ own > np.array(rivals)))
    return float(np.mean(cosines)), float(np.mean(shares))


def test_every_lag_equals_a_slow_regression() -> None:
    train, test, embeddings = simulate(lag=1, noise=1.0)
    table = sweep_lags(train, test, embeddings, SETTINGS, seed=0)
    assert list(table.lag_tr) == [-1, 0, 2, 0, 0, 0]
    assert list(table.test_repeats) == [4, 4, 4, 1, 2, 3]
    assert set(table.n_clips) == {37 + 27}
    for lag, row in zip(SETTINGS.lags, table.itertuples(), strict=False):
        cosine, identification = slow_scores(train, test.bold, embeddings, lag, SETTINGS)
        assert row.cosine == pytest.approx(cosine, abs=1e-4)
        assert row.identification == pytest.approx(identification, abs=0.01)
        assert row.cosine_low < row.cosine < row.cosine_high


def test_one_repeat_equals_a_slow_regression() -> None:
    """All repeats alike, so that whichever is drawn gives the same score as the mean."""
    train, test, embeddings = simulate(lag=0, noise=1.0)
    alike = {movie: np.repeat(bold[None], 3, 0) for movie, bold in test.bold.items()}
    table = sweep_lags(train, SubjectFmri(test.bold, alike), embeddings, SETTINGS, seed=0)
    expected = slow_scores(train, test.bold, embeddings, 0, SETTINGS)
    rows = table[table.lag_tr == 0]
    assert list(rows.test_repeats) == [3, 1, 2]
    np.testing.assert_allclose(rows.cosine, expected[0], atol=1e-4)


@pytest.mark.parametrize("lag", [-1, 0, 2])
def test_the_score_peaks_at_the_true_lag(lag: int) -> None:
    table = sweep_lags(*simulate(lag, noise=1.0), SETTINGS, seed=0)
    every = table[table.test_repeats == 4].set_index("lag_tr")
    assert every.identification.idxmax() == every.cosine.idxmax() == lag
    assert every.identification[lag] > 0.8
    assert every.drop(lag).identification.between(0.35, 0.65).all()


def test_more_repeats_are_better() -> None:
    table = sweep_lags(*simulate(0, noise=6.0), SETTINGS, seed=0)
    at_zero = table[table.lag_tr == 0].sort_values("test_repeats")
    assert list(at_zero.test_repeats) == [1, 2, 3, 4]
    assert at_zero.cosine.is_monotonic_increasing


def test_one_repeat_of_everything_has_no_curve() -> None:
    train, test, embeddings = simulate(0, noise=1.0)
    single = {movie: bold[None] for movie, bold in test.bold.items()}
    table = sweep_lags(train, SubjectFmri(test.bold, single), embeddings, SETTINGS, seed=0)
    assert list(table.lag_tr) == [-1, 0, 2]
    assert set(table.test_repeats) == {1}


def test_dual_ridge_equals_the_primal_one() -> None:
    draw = np.random.default_rng(0)
    samples, targets = draw.normal(size=(20, 7)), draw.normal(size=(20, 2))
    penalty = 0.3 * (samples**2).sum(1).mean()
    expected = np.linalg.solve(samples.T @ samples + penalty * np.eye(7), samples.T @ targets)
    np.testing.assert_allclose(fit_ridge(samples, targets, 0.3), expected)


def test_what_does_not_fit_is_refused() -> None:
    train, test, embeddings = simulate(0, noise=1.0)
    far = SETTINGS.replace(lags=(-20, 0, 20))
    with pytest.raises(InputError, match=r"sweep_lags\.lags: found a span of 40 TR"):
        sweep_lags(train, test, embeddings, far, seed=0)
    embeddings["seg2"] = embeddings["seg1"]
    with pytest.raises(InputError, match="embeddings of seg2: found 60 clips; expected 50"):
        sweep_lags(train, test, embeddings, SETTINGS, seed=0)
    for bad in ({"lags": (1, 2)}, {"lags": (0, 0)}, {"penalty": 0}, {"draws": 0}, {"bootstrap_draws": 1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            SweepLagsSettings(**bad)


def test_program_writes_one_table_for_all_subjects(tmp_path: Path) -> None:
    train, test, embeddings = simulate(0, noise=1.0)
    for name, fmri, movies in (("train", train, ["seg1", "seg2"]), ("test", test, ["test1", "test2"])):
        meta = {"step": "assemble_train", "movies": movies, "computed_from": movies}
        write_arrays(tmp_path / f"{name}.safetensors", fmri.arrays(), meta)
    files = []
    for movie, each in embeddings.items():
        files.append(tmp_path / f"{movie}.safetensors")
        arrays = {f"{movie}/text": each.text, f"{movie}/image": each.image}
        write_arrays(files[-1], arrays, {"movies": [movie]})
    given = {"embeddings": files, "seed": 0, "settings": SETTINGS, "out": tmp_path / "lag_sweep.tsv"}
    learned, scored = tmp_path / "train.safetensors", tmp_path / "test.safetensors"
    program.main(train=[learned, learned], test=[scored, scored], subjects=["1", "3"], **given)
    table = read_table(given["out"])
    assert set(table.columns) < set(json.loads(given["out"].with_suffix(".json").read_text()))
    expected = sweep_lags(train, test, embeddings, SETTINGS, seed=0)
    assert list(table.subject) == [1] * 6 + [3] * 6
    for rows in (table[:6], table[6:]):
        np.testing.assert_allclose(rows.identification, expected.identification, atol=1e-5)
    page = lag_section(table)
    best = {
        score: expected[score][expected.test_repeats == 4].max() for score in ("cosine", "identification")
    }
    for score, value in best.items():
        assert page.count(f'aria-label="{score} by lag, TR: highest {value:.3f} at 0, ') == 2
    assert page.count("<svg") == 2 * 4
    with pytest.raises(InputError, match="values computed from seg1"):
        program.main(train=[learned], test=[learned], subjects=["1"], **given)
