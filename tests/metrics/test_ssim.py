"""SSIM and PSNR against scikit-image, and the pair matrices against the matched scores."""

import numpy as np
import pytest
from skimage.color import rgb2gray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from metrics.tiny import slow_movie
from neurocine.errors import InputError
from neurocine.metrics.baselines import constant_video
from neurocine.metrics.features import Clips
from neurocine.metrics.metric import Judge
from neurocine.metrics.psnr import pix_corr_pairs, psnr255, psnr_pairs
from neurocine.metrics.registry import METRICS
from neurocine.metrics.settings import ScoreSettings
from neurocine.metrics.ssim import (
    COLUMN_BUG,
    GAUSS_GREY,
    MV,
    SsimWindow,
    ssim_colbug,
    ssim_gauss_gray,
    ssim_mv,
    ssim_pairs,
)


def soft_videos(n_clips: int, seed: int, height: int = 20, width: int = 17) -> np.ndarray:
    """Videos with smooth parts, noise and a flat patch: where variances are small, rounding shows."""
    generator = np.random.default_rng(seed)
    videos = generator.normal(110, 40, (n_clips, 2, height, width, 3)).cumsum(axis=2) / 4 % 256
    videos[:, :, :8, :9] = 200
    return videos.astype(np.uint8)


def skimage_ssim(first: np.ndarray, second: np.ndarray) -> float:
    return structural_similarity(first, second, channel_axis=-1, data_range=255)


def test_ssim_equals_skimage() -> None:
    first, second = soft_videos(3, 0), soft_videos(3, 1)
    expected = [
        [skimage_ssim(a, b) for a, b in zip(x, y, strict=True)] for x, y in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(ssim_mv(first, second), expected, atol=1e-9)


def test_all_pairs_equal_skimage() -> None:
    first, second = soft_videos(3, 0), soft_videos(4, 1)
    expected = [[np.mean([skimage_ssim(x[f], y[f]) for f in range(2)]) for y in second] for x in first]
    np.testing.assert_allclose(ssim_pairs(first, second), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "window"), [("ssim_mv", MV), ("ssim_gauss_gray", GAUSS_GREY), ("ssim_colbug", COLUMN_BUG)]
)
def test_a_baseline_scores_as_in_the_products_of_all_pairs(name: str, window: SsimWindow) -> None:
    grey, clips = constant_video((2, 20, 17, 3)), soft_videos(4, 1)
    judge = Judge({}, ScoreSettings(), matched=False)
    for one in (grey, soft_videos(1, 0)):
        found = METRICS[name].pairs(Clips(one), Clips(clips), judge)[name]
        np.testing.assert_allclose(found, ssim_pairs(one, clips, window=window), atol=1e-6)


def test_identity_scores_one() -> None:
    videos = soft_videos(2, 0)
    np.testing.assert_allclose(ssim_mv(videos, videos), 1, atol=1e-12)
    np.testing.assert_allclose(np.diagonal(ssim_pairs(videos, videos)), 1, atol=1e-6)


def test_a_smallest_frame_has_one_window() -> None:
    first, second = soft_videos(1, 0, 7, 7), soft_videos(1, 1, 7, 7)
    np.testing.assert_allclose(
        ssim_mv(first, second)[0, 0], skimage_ssim(first[0, 0], second[0, 0]), atol=1e-9
    )


def test_psnr_equals_skimage() -> None:
    first, second = soft_videos(3, 0), soft_videos(3, 1)
    expected = [
        [peak_signal_noise_ratio(b, a, data_range=255) for a, b in zip(x, y, strict=True)]
        for x, y in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(psnr255(first, second), expected, atol=1e-9)


def test_psnr_of_all_pairs_and_its_cap() -> None:
    first, second = soft_videos(3, 0), soft_videos(2, 1)
    pairs = psnr_pairs(first, second)
    for i, j in np.ndindex(3, 2):
        np.testing.assert_allclose(
            pairs[i, j], psnr255(first[i : i + 1], second[j : j + 1]).mean(), atol=1e-9
        )
    assert (np.diagonal(psnr_pairs(first, first)) == 100).all()


def test_pixel_correlation_equals_numpy_and_gives_a_grey_frame_nothing() -> None:
    first, second = soft_videos(3, 0), soft_videos(2, 1)
    first[2, 0] = 110
    pairs = pix_corr_pairs(first, second)
    for i, j in np.ndindex(3, 2):
        frames = [
            0.0 if np.ptp(x) == 0 else np.corrcoef(x.ravel(), y.ravel())[0, 1]
            for x, y in zip(first[i], second[j], strict=True)
        ]
        np.testing.assert_allclose(pairs[i, j], np.mean(frames), atol=1e-12)
    assert (pix_corr_pairs(constant_video((2, 20, 17, 3)), second) == 0).all()
    np.testing.assert_allclose(np.diagonal(pix_corr_pairs(second, second)), 1)


def test_black_scores_low_and_grey_beats_unrelated_noise() -> None:
    noise, other = np.random.default_rng(0).integers(0, 256, (2, 1, 1, 32, 32, 3), dtype=np.uint8)
    grey = np.full_like(noise, 110)
    assert ssim_mv(np.zeros_like(noise), noise)[0, 0] < 0.02
    assert psnr255(grey, noise)[0, 0] > psnr255(other, noise)[0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda video: video.astype(np.float32) / 255, "uint8"),
        (lambda video: video[:, :1], "same frames and size"),
        (lambda video: video[:, :, :6], "at least 7"),
        (lambda video: video[..., :1], "uint8"),
    ],
)
def test_other_arrays_are_refused(change: object, message: str) -> None:
    videos = soft_videos(2, 0)
    changed = change(videos)  # type: ignore[operator]
    # A window needs 7 pixels, an error one.
    for function in (ssim_mv, ssim_pairs) if "7" in message else (ssim_mv, ssim_pairs, psnr255, psnr_pairs):
        with pytest.raises(InputError, match=message):
            function(changed, videos)


def test_matched_scores_need_equal_clip_counts() -> None:
    with pytest.raises(InputError, match="predicted videos"):
        ssim_mv(soft_videos(2, 0), soft_videos(3, 0))


def skimage_grey_ssim(first: np.ndarray, second: np.ndarray, columns: bool) -> float:
    """The peers' calls: grey values 0..1, and for the column variant an axis named that is no colour."""
    grey = [rgb2gray(frame) for frame in (first, second)]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    return structural_similarity(*grey, channel_axis=-1 if columns else None, **options)


@pytest.mark.parametrize("columns", [False, True])
def test_grey_ssim_equals_skimage(columns: bool) -> None:
    first, second = soft_videos(2, 0), soft_videos(3, 1)
    expected = [[[skimage_grey_ssim(x[f], y[f], columns) for f in range(2)] for y in second] for x in first]
    matched = (ssim_colbug if columns else ssim_gauss_gray)(first, second[:2])
    np.testing.assert_allclose(matched, [expected[i][i] for i in range(2)], atol=1e-9)
    pairs = ssim_pairs(first, second, window=COLUMN_BUG if columns else GAUSS_GREY)
    np.testing.assert_allclose(pairs, np.mean(expected, axis=2), atol=1e-5)


def test_the_column_variant_flatters_uninformative_predictions() -> None:
    # A grey frame against soft pictures: the reason why values of the two definitions must not be compared.
    truth = slow_movie(8, 0, 64)
    grey = np.full_like(truth, 110)
    assert ssim_colbug(grey, truth).mean() > 1.3 * ssim_mv(grey, truth).mean()


@pytest.mark.parametrize("window", [MV, GAUSS_GREY, COLUMN_BUG])
def test_fewer_windows_estimate_the_same(window: SsimWindow) -> None:
    first, second = slow_movie(6, 0, 64), slow_movie(6, 1, 64)
    every = ssim_pairs(first, second, window=window)
    np.testing.assert_allclose(ssim_pairs(first, second, window=window, stride=3), every, atol=0.05)
    assert abs(ssim_pairs(first, second, window=window, stride=3).mean() - every.mean()) < 0.015
