"""Features by ridge regression: of a linear world, under all conditions, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge

from neurocine.animator.features import Features
from neurocine.errors import InputError, InputErrors
from neurocine.provenance import movies_behind
from neurocine.regression import RidgeSettings, fit_ridge_of_movies
from neurocine.ridge.features import ClipTargets, PredictFeaturesSettings, fit_features, predict_features
from neurocine.settings import parse_settings
from ridge.tiny import TEST, TOKENS, TRAIN
from tiny_study import FRAMES, TR


def test_what_is_the_same_in_all_clips_stays_and_the_rest_is_the_ridge_of_its_penalty() -> None:
    random = np.random.default_rng(0)
    x = {name: random.normal(size=(30, 6)).astype(np.float32) for name in TRAIN}
    y = {name: np.column_stack([v[:, :2] + v[:, 2:4], np.full(30, 0.37)]) for name, v in x.items()}
    model = fit_ridge_of_movies(x, y, RidgeSettings(n_penalties=5), np.float32)
    joined, target = np.concatenate([*x.values()]), np.concatenate([*y.values()])
    unit = (joined - joined.mean(0)) / joined.std(0)
    made = model.predict(joined)
    assert np.allclose(made[:, 2], 0.37, atol=1e-5)
    for column in (0, 1):
        slow = SklearnRidge(alpha=float(model.penalties[column])).fit(unit, target[:, column])
        assert np.allclose(made[:, column], slow.predict(unit), atol=1e-3)


def test_columns_become_features_again(files: dict[str, Path]) -> None:
    targets = ClipTargets.read([files["embeddings"]], [files["latents"]], TRAIN, TOKENS)
    columns = np.concatenate(list(targets.columns().values()))
    again = targets.like(columns, targets.features.clips)
    for name in ("embedding", "states", "latents"):
        assert np.array_equal(getattr(again.features, name), getattr(targets.features, name))
    assert np.array_equal(again.image, targets.image)
    assert np.allclose(np.linalg.norm(targets.image, axis=1), 1, atol=1e-6)


def test_features_that_are_linear_in_fmri_are_found(files: dict[str, Path]) -> None:
    targets = ClipTargets.read([files["embeddings"]], [files["latents"]], TRAIN, TOKENS)
    columns = targets.columns()
    random = np.random.default_rng(1)
    mixed = random.normal(size=(columns["seg1"].shape[1], 400)) / 20  # more vertices than clips
    bold = {movie: (values @ mixed).astype(np.float32) for movie, values in columns.items()}
    model = fit_features(bold, targets, PredictFeaturesSettings(smallest_penalty=1e-3, n_penalties=1))
    made = predict_features(model, targets, np.concatenate([*bold.values()]), targets.features.clips)
    assert np.corrcoef(made.features.latents.ravel(), targets.features.latents.ravel())[0, 1] > 0.95


def test_conditions_are_predicted_from_their_fmri(predict: Callable[..., dict[str, Path]]) -> None:
    out = predict("fmri", "shifted", "shuffled", "mean")
    made = {name: Features.read(path) for name, path in out.items()}
    assert made["fmri"].clips == tuple((movie, index) for movie in TEST for index in range(TR))
    assert made["fmri"].latents.shape[1] == FRAMES
    assert made["fmri"].states.shape[1] == TOKENS
    one, shifted = made["fmri"].embedding[:TR], made["shifted"].embedding[:TR]
    assert np.allclose(np.roll(one, 2, axis=0), shifted, atol=1e-5)
    assert not np.allclose(one, shifted, atol=1e-3)
    assert np.allclose(made["mean"].embedding, made["mean"].embedding[:1], atol=1e-5)
    rows = {row.tobytes() for row in made["shuffled"].embedding[:TR].round(4)}
    assert rows == {row.tobytes() for row in one.round(4)}
    assert movies_behind([out["fmri"]]) == sorted([*TRAIN, *TEST])


def test_a_movie_outside_the_training_movies_is_refused(
    predict: Callable[..., dict[str, Path]], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="seg2"):
        predict("fmri", train_movies=["seg1"])
    assert not (tmp_path / "fmri.safetensors").exists()


def test_penalties_out_of_order_are_refused() -> None:
    with pytest.raises(InputErrors, match="smallest_penalty"):
        parse_settings(
            PredictFeaturesSettings, '{"smallest_penalty": 10, "largest_penalty": 1}', "--settings"
        )
