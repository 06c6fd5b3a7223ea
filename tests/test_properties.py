"""Properties that hold for any size: windows, padding, masks, interpolation, N-way accuracy, names."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocine.datasets.base import Recording
from neurocine.fmri.preprocess import PreprocessRunSettings, volumes_kept
from neurocine.fmri.windows import window_index
from neurocine.metrics.n_way import chance_n_way, exact_n_way, target_classes
from neurocine.models.fmri_encoder import FmriEncoder, FmriEncoderConfig
from neurocine.naming import natural
from neurocine.train.augment import interpolation_mix, replaced_frames, spatial_keep

quick = settings(max_examples=60, deadline=None)
SEEDS = st.integers(0, 2**31)
MOVIE_NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,9}", fullmatch=True)


@quick
@given(st.integers(1, 50), st.integers(1, 9), st.sampled_from(["forward", "backward", "centred"]))
def test_windows_stay_within_the_movie_and_hold_their_own_sample(
    n_samples: int, width: int, direction: str
) -> None:
    index = window_index(n_samples, width, direction)  # type: ignore[arg-type]
    assert index.shape == (n_samples, width)
    assert index.min() >= 0
    assert index.max() < n_samples
    assert (np.diff(index, axis=1) >= 0).all()
    assert (np.diff(index, axis=1) <= 1).all()
    assert all(sample in window for sample, window in enumerate(index))


@quick
@given(st.integers(0, 8), st.integers(0, 8), st.integers(1, 40), st.integers(-10, 10))
def test_the_crop_keeps_the_movie_whatever_the_lag(first: int, last: int, kept: int, lag: int) -> None:
    n_volumes = first + kept + last
    crop = PreprocessRunSettings(crop={n_volumes: (first, last)}, extra_lag_tr=lag)
    expected = [min(max(first + sample + lag, 0), n_volumes - 1) for sample in range(kept)]
    assert volumes_kept(n_volumes, Recording("a", 1, len(expected), 2.0), crop, "run").tolist() == expected


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 40), st.integers(1, 7))
def test_padding_repeats_from_the_start(n_vertices: int, patch: int) -> None:
    config = FmriEncoderConfig(
        n_vertices=n_vertices, window=1, patch=patch, depth=1, width=8, heads=2, tokens=0
    )
    bold = torch.arange(n_vertices, dtype=torch.float32)[None, None]
    padded = FmriEncoder(config).pad(bold)[0, 0]
    assert len(padded) == -(-n_vertices // patch) * patch
    assert padded.tolist() == [place % n_vertices for place in range(len(padded))]


@quick
@given(st.integers(1, 6), st.integers(1, 30), st.floats(0, 1), st.sampled_from(["token", "feature"]), SEEDS)
def test_masks_hide_the_fraction_asked_for(n: int, items: int, ratio: float, mode: str, seed: int) -> None:
    keep = spatial_keep(n, items, items, ratio, mode, torch.Generator().manual_seed(seed))
    assert set(keep.unique().tolist()) <= {0.0, 1.0}
    assert (keep.reshape(n, -1) == 0).sum(1).tolist() == [round(ratio * items)] * n


@quick
@given(st.integers(1, 6), st.integers(2, 9), st.floats(0, 1), st.booleans(), SEEDS)
def test_interpolation_mixes_others_only(
    n: int, window: int, ratio: float, normalise: bool, seed: int
) -> None:
    replaced = replaced_frames(n, window, ratio, True, torch.Generator().manual_seed(seed))
    assert replaced.any(1).all()
    assert not replaced.all(1).any()
    mix = interpolation_mix(replaced, normalise)
    for sample, frame in itertools.product(range(n), range(window)):
        row = mix[sample, frame]
        if not replaced[sample, frame]:
            assert row.tolist() == [float(other == frame) for other in range(window)]
            continue
        weights = [0.0 if other == frame else 1 - abs(frame - other) / window for other in range(window)]
        scale = sum(weights) if normalise else 1.0
        np.testing.assert_allclose(row, np.array(weights) / scale, rtol=1e-5)


@quick
@given(st.integers(3, 9), st.integers(1, 2), st.integers(2, 4), st.integers(1, 2), SEEDS)
def test_n_way_equals_counting_all_draws(
    n_classes: int, n_targets: int, n_way: int, top_k: int, seed: int
) -> None:
    if n_classes - n_targets < n_way - 1 or top_k >= n_way:
        return
    scores = np.random.default_rng(seed).permutation(n_classes)[None].astype(float)  # no ties
    targets = target_classes(np.random.default_rng(seed + 1).standard_normal((1, n_classes)), n_targets)
    best = max(scores[0, target] for target in targets[0])
    others = [value for label, value in enumerate(scores[0]) if label not in targets[0]]
    draws = list(itertools.combinations(others, n_way - 1))
    wins = [sum(value > best for value in draw) < top_k for draw in draws]
    assert exact_n_way(scores, targets, n_way, top_k)[0] == pytest.approx(np.mean(wins))
    assert 0 < chance_n_way(n_way, n_targets, top_k) <= 1


@quick
@given(
    st.text(min_size=1, max_size=20),
    st.integers(1, 9999),
    st.integers(1, 500),
    st.integers(0, 9),
    st.booleans(),
)
def test_recordings_are_read_back(movie: str, repeat: int, clips: int, first: int, trusted: bool) -> None:
    recording = Recording(
        movie, repeat, clips, 1.5, first=first, lag=first, header_tr=trusted, confounds=movie
    )
    assert Recording.read(recording.text()) == recording


@quick
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=9))
def test_natural_order_is_that_of_numbers(numbers: list[int]) -> None:
    names = [f"seg{number}" for number in numbers]
    assert sorted(names, key=natural) == [f"seg{number}" for number in sorted(numbers)]
