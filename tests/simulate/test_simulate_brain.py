"""Simulated brains against their own truth: shares, tuning, timing, determinism."""

import json

import numpy as np
import pytest

from neurocine.datasets.base import Recording
from neurocine.errors import InputError
from neurocine.fmri.grayordinates import CORTEX, GRAYORDINATES
from neurocine.fmri.parcellation import area_vertices
from neurocine.fmri.preprocess import PreprocessRunSettings, clean_run
from neurocine.seeds import numpy_generator
from neurocine.settings import parse_settings
from neurocine.simulate.brain import (
    Brain,
    SimulateSubjectSettings,
    grayordinate_labels,
    make_brain,
    make_tuning,
    noise_ceiling,
    share_in,
    simulate_run,
    training_covariance,
    truth_arrays,
)
from neurocine.simulate.features import GROUPS, FeatureSpace, feature_names
from neurocine.simulate.response import kept_times, response_at
from neurocine.simulate.tuning import AREAS, Tuning, receptive_fields

ROW = Recording("seg1", 1, 240, 2.0)
NAMES = feature_names([(shape, "") for shape in ("arrow", "bird", "car", "fish")])
SPACE = FeatureSpace(NAMES, np.zeros(len(NAMES), np.float32), np.ones(len(NAMES), np.float32))


def some_features(name: str, scale: float = 1.0) -> np.ndarray:
    """Features that change every 8 s, as scenes do."""
    scenes = numpy_generator(0, name).standard_normal((62, len(NAMES)))
    return (np.repeat(scenes, 16, axis=0)[:984] * scale).astype(np.float32)


FEATURES = some_features("seg1")
COVARIANCE = training_covariance([FEATURES])


def vertices(*names: str, every: int = 10) -> np.ndarray:
    areas = area_vertices()
    return np.sort(np.concatenate([areas[side, name][::every] for name in names for side in (0, 1)]))


def a_brain(settings: SimulateSubjectSettings, rows: np.ndarray, subject: str = "1") -> tuple[Tuning, Brain]:
    tuning = make_tuning(subject, SPACE, COVARIANCE, settings, seed=7)
    return tuning, make_brain(subject, tuning, settings, 7, rows)


def cleaned(
    brain: Brain,
    settings: SimulateSubjectSettings,
    repeat: int,
    features: np.ndarray = FEATURES,
    n_volumes: int = 245,
) -> np.ndarray:
    run = simulate_run(brain, features, n_volumes, settings, numpy_generator(7, "run", repeat))
    return clean_run(run, ROW, PreprocessRunSettings(ddof=0), "a simulated run")


@pytest.mark.parametrize(
    ("n_volumes", "settings"),
    [
        (245, SimulateSubjectSettings()),
        # Here detrending leaves 1.2 and 0.83 of the autocorrelated noise's variance.
        (246, SimulateSubjectSettings(drift=2.0)),
        (245, SimulateSubjectSettings(drift=0.0, noise_autocorrelation=0.8)),
    ],
)
def test_share_is_the_reliability_of_preprocessed_runs(
    n_volumes: int, settings: SimulateSubjectSettings
) -> None:
    _, brain = a_brain(settings, vertices("V1", "V4", "MT", "FFC", "IPS1", "4"))
    runs = np.stack([cleaned(brain, settings, repeat, n_volumes=n_volumes) for repeat in range(24)])
    total = runs.sum(0)
    # Mean correlation of all pairs of runs, from the variance of their sum.
    reliability = ((total**2).mean(0) - len(runs)) / (len(runs) * (len(runs) - 1))
    assert reliability.mean() == pytest.approx(brain.share.mean(), abs=0.01)
    assert np.abs(reliability - brain.share).max() < 0.12
    # A perfect prediction of the mean over repeats reaches the ceiling.
    truth = response_at(FEATURES, kept_times()) @ brain.weights
    mean = clean_run(runs.mean(0), ROW, PreprocessRunSettings(crop={240: (0, 0)}), "mean")
    truth = clean_run(truth, ROW, PreprocessRunSettings(crop={240: (0, 0)}), "truth")
    reached = (mean[:, brain.tuned] * truth).mean(0)
    assert reached.mean() == pytest.approx(noise_ceiling(brain.share[brain.tuned], 24).mean(), abs=0.01)


def test_ceiling_has_its_limits() -> None:
    np.testing.assert_allclose(noise_ceiling(np.array([0.0, 1.0, 0.25]), 1), [0, 1, 0.5])
    np.testing.assert_allclose(noise_ceiling(np.array([0.25]), 3), np.sqrt(0.5))


def test_response_has_unit_variance_in_training_and_known_share_elsewhere() -> None:
    settings = SimulateSubjectSettings()
    tuning, _ = a_brain(settings, vertices("V1", "V8", "MST", "TPOJ1"))
    np.testing.assert_allclose(
        np.einsum("nf,fg,ng->n", tuning.weights, COVARIANCE, tuning.weights), 1, rtol=1e-4
    )
    weaker = training_covariance([FEATURES * np.float32(0.5)])
    share = share_in(tuning, np.full(len(tuning.vertex), 0.5, np.float32), weaker)
    np.testing.assert_allclose(share, 0.125 / 0.625, rtol=1e-4)


def test_areas_follow_their_features() -> None:
    settings = SimulateSubjectSettings(signal_fraction=0.9, vertex_spread=0.0)
    seen = {
        "V1": "contrast",
        "V2": "contrast",
        "V8": "colour",
        "MT": "motion",
        "V3A": "motion",
        "FFC": "shape",
    }
    movies = [some_features(f"movie {number}") for number in range(6)]
    response = np.concatenate([response_at(movie, kept_times()) for movie in movies])
    for area, group in seen.items():
        _, brain = a_brain(settings, vertices(area))
        bold = np.concatenate([cleaned(brain, settings, i, movie) for i, movie in enumerate(movies)])
        explained = {}
        for index, name in enumerate(GROUPS):
            columns = response[:, SPACE.group == index]
            fit, *_ = np.linalg.lstsq(columns[:1200], bold[:1200], rcond=None)
            explained[name] = 1 - ((bold[1200:] - columns[1200:] @ fit) ** 2).mean()
        assert max(explained, key=explained.__getitem__) == group, area
        assert explained[group] > 0.5


def test_early_areas_see_the_opposite_half() -> None:
    tuning = make_tuning("1", SPACE, COVARIANCE, SimulateSubjectSettings(), 7)
    areas = area_vertices()
    for side in (0, 1):
        weights = np.abs(tuning.weights[np.isin(tuning.vertex, areas[side, "V1"])])
        columns = weights[:, SPACE.group == GROUPS.index("contrast")].reshape(-1, 8, 8).sum((0, 1))
        left, right = columns[:4].sum(), columns[4:].sum()
        assert (right > 2 * left) if side == 0 else (left > 2 * right)


def test_only_listed_areas_carry_signal() -> None:
    settings = SimulateSubjectSettings()
    tuning, brain = a_brain(settings, np.arange(GRAYORDINATES))
    expected = np.zeros(GRAYORDINATES, bool)
    expected[vertices(*AREAS, every=1)] = True
    np.testing.assert_array_equal(brain.share > 0, expected)
    arrays = truth_arrays(tuning, brain, COVARIANCE)
    assert arrays["signal_share"].shape == (CORTEX,)
    np.testing.assert_allclose(arrays["group_strength"].sum(1), expected[:CORTEX], atol=1e-6)
    np.testing.assert_allclose(arrays["signal_share_test"], arrays["signal_share"], rtol=1e-4)
    untuned = np.flatnonzero(~expected)[::1000]
    quiet = make_brain("1", tuning, settings, 7, untuned)
    assert not len(quiet.tuned)
    runs = [cleaned(quiet, settings, repeat) for repeat in range(2)]
    assert abs((runs[0] * runs[1]).mean()) < 0.03


def test_retinotopy_covers_the_opposite_half_and_is_smooth() -> None:
    fields = receptive_fields(400, 0, 0.8, np.random.default_rng(0))
    columns = fields.reshape(400, 8, 8).sum(1)
    assert columns[:, 4:].sum() > 4 * columns[:, :4].sum()
    mirrored = (
        receptive_fields(400, 1, 0.8, np.random.default_rng(0))
        .reshape(400, 8, 8)[:, :, ::-1]
        .reshape(400, -1)
    )
    np.testing.assert_allclose(mirrored, fields)
    unit = fields / np.linalg.norm(fields, axis=1, keepdims=True)
    assert np.median((unit[1:] * unit[:-1]).sum(1)) > 0.98
    assert fields.max(0).reshape(8, 8)[:, 4:].min() > 0.5  # every cell of the half is seen


def test_correlation_with_the_clip_peaks_without_extra_lag_or_one_later() -> None:
    settings = SimulateSubjectSettings(signal_fraction=0.8)
    _, brain = a_brain(settings, vertices("V1", "MT"))
    run = simulate_run(brain, FEATURES, 245, settings, numpy_generator(7, "lag"))
    drive = FEATURES.reshape(246, 4, -1).mean(1)[:240] @ brain.weights
    score = {}
    for lag in range(-2, 5):
        bold = clean_run(run, ROW, PreprocessRunSettings(extra_lag_tr=lag), "lag")
        score[lag] = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(bold.T, drive.T, strict=True)])
    assert max(score, key=score.__getitem__) in (0, 1)
    assert min(score[0], score[1]) > max(score[-1], score[3])


def test_a_delayed_run_lags_by_its_seconds() -> None:
    delayed = {"subject": "3", "movie": "test2", "repeat": 9, "seconds": 10}
    settings = SimulateSubjectSettings(delayed_runs=(delayed,), shared_noise=0.0)
    assert settings.delay("3", "test2", 9) == 10
    assert settings.delay("3", "test2", 8) == settings.delay("2", "test2", 9) == 0
    _, brain = a_brain(settings, vertices("V1"))
    late = simulate_run(brain, FEATURES, 246, settings, np.random.default_rng(0), delay=10.0)
    sharp = simulate_run(brain, FEATURES, 246, settings, np.random.default_rng(0))
    silent = simulate_run(brain, np.zeros_like(FEATURES), 246, settings, np.random.default_rng(0))
    np.testing.assert_allclose((late - silent)[5:], (sharp - silent)[:-5], atol=0.05)


def test_signal_and_noise_levels_follow_the_settings() -> None:
    rows = vertices("V1", "V2", every=2)
    means = []
    for subject in ("1", "2", "3"):
        settings = SimulateSubjectSettings(gain_spread=0.0)
        _, brain = a_brain(settings, rows, subject)
        means.append(brain.share.mean())
        run = simulate_run(brain, FEATURES, 245, settings, np.random.default_rng(0))
        kept = run[1:241] - run[1:241].mean(0)
        assert 7000 < run.mean() < 13000
        # The drift, which detrending removes, is part of the raw variance.
        assert 0.015 < (kept.std(0) / run.mean(0)).mean() < 0.025
        assert run.dtype == np.float32
    np.testing.assert_allclose(np.array(means) / means[0], [1, 0.9, 0.75], rtol=0.05)


def test_subjects_differ_and_seeds_repeat() -> None:
    settings = SimulateSubjectSettings()
    tuning, _ = a_brain(settings, vertices("V1"))
    again, _ = a_brain(settings, vertices("MT"))
    other = make_tuning("2", SPACE, COVARIANCE, settings, seed=7)
    np.testing.assert_array_equal(tuning.weights, again.weights)
    assert np.abs(tuning.weights - other.weights).max() > 0.1


def test_constant_features_leave_their_areas_silent() -> None:
    features = FEATURES.copy()
    features[:, SPACE.group == GROUPS.index("motion")] = 0
    tuning = make_tuning("1", SPACE, training_covariance([features]), SimulateSubjectSettings(), 7)
    assert not np.isin(vertices("MT", every=1), tuning.vertex).any()
    assert np.isin(vertices("V1", every=1), tuning.vertex).all()
    assert np.isfinite(tuning.weights).all()


def test_labels_number_every_grayordinate() -> None:
    labels = grayordinate_labels()
    assert labels.shape == (GRAYORDINATES,)
    assert len(np.unique(labels[CORTEX:])) == 19
    assert len(np.unique(labels[vertices("V1", every=1)])) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"signal_fraction": 1.2},
        {"noise_autocorrelation": 1.0},
        {"drift": -1.0},
        {"baseline": 0.0},
        {"subject_factors": {"1": -0.5}},
        {"delayed_runs": [{"subject": "3"}]},
        {"volumes": {"default": 244}},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        parse_settings(SimulateSubjectSettings, json.dumps(wrong), "simulate_subject")
