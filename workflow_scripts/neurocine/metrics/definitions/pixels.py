"""Metrics of pixels: structural similarity, error, hue."""

import numpy as np

from neurocine.metrics.features import Clips
from neurocine.metrics.metric import Judge, Metric, single

# SSIM of clips that do not belong together: at all windows of small frames, at about 32 x 32 of larger ones
SMALL_FRAME, PAIR_WINDOWS = 64, 32  # pixels, windows per axis


def _ssim(name: str, predicted: Clips, truth: Clips, judge: Judge) -> np.ndarray:
    from neurocine.metrics import ssim

    window, exact = {
        "ssim_mv": (ssim.MV, ssim.ssim_mv),
        "ssim_gauss_gray": (ssim.GAUSS_GREY, ssim.ssim_gauss_gray),
        "ssim_colbug": (ssim.COLUMN_BUG, ssim.ssim_colbug),
    }[name]
    x, y = predicted.videos, truth.videos
    if len(x) == 1:
        # A baseline: running sums over all windows cost less than products of their pixels.
        return exact(np.broadcast_to(x, y.shape), y).mean(axis=1)[None]
    side = min(x.shape[2:4])
    stride = side // PAIR_WINDOWS if judge.matched and side > SMALL_FRAME else 1
    scores = ssim.ssim_pairs(x, y, judge.device, window, stride)
    if stride > 1:
        np.fill_diagonal(scores, exact(x, y).mean(axis=1))
    return scores


def _ssim_metric(
    name: str,
    definition: str,
    chance_text: str,
    comparable: str,
    default: bool = False,
    short_table: dict[str, int] | None = None,
) -> Metric:
    pairs, chances = single(name, lambda *clips: _ssim(name, *clips))
    return Metric(
        name,
        definition,
        chance_text,
        comparable,
        "pixels",
        pairs,
        chances,
        default=default,
        short_table=short_table or {},
    )


def _psnr(predicted: Clips, truth: Clips, _: Judge) -> np.ndarray:
    from neurocine.metrics.psnr import psnr_pairs

    return psnr_pairs(predicted.videos, truth.videos)


def _hue_cos(predicted: Clips, truth: Clips, _: Judge) -> np.ndarray:
    from neurocine.metrics.hue import hue_cos_ma_pairs

    return hue_cos_ma_pairs(predicted.videos, truth.videos)


def _hue_circ(predicted: Clips, truth: Clips, _: Judge) -> np.ndarray:
    from neurocine.metrics.hue import hue_circ_corr_pairs

    return hue_circ_corr_pairs(predicted.videos, truth.videos)


METRICS = (
    _ssim_metric(
        "ssim_mv",
        "RGB, uniform 7 × 7 window, range 255, sample covariance, mean over channels",
        "none; a grey frame reaches .04 to .23 at 256²",
        "MinD-Video, NeuroCine at 256²",
        default=True,
        short_table={"ssim_mv": 10},
    ),
    _ssim_metric(
        "ssim_gauss_gray",
        "grey, Gaussian window σ 1.5, population covariance",
        "none",
        "papers that use scikit-image's Gaussian option on grey frames",
    ),
    _ssim_metric(
        "ssim_colbug",
        "the same call with image columns taken for channels: 1-D windows",
        "none; about twice `ssim_mv` for uninformative frames",
        "parity only: NEURONS; the scale of NeuroClips",
    ),
    Metric(
        "psnr255",
        "20 log10(255 / √MSE) per frame, at most 100 dB",
        "none; a grey frame reaches about 13 dB",
        "MinD-Video, Mind-Animator",
        "pixels",
        *single("psnr255", _psnr),
        default=True,
        short_table={"psnr255": 20},
    ),
    Metric(
        "hue_cos_ma",
        "cosine of 8-bit OpenCV hues with red and blue exchanged, / 360, mean over the frames; "
        'published as "hue-pcc"',
        "none; high for unrelated frames",
        "Mind-Animator's values of MinD-Video",
        "pixels",
        *single("hue_cos_ma", _hue_cos),
    ),
    Metric(
        "hue_circ_corr",
        "circular correlation of hues over pixels, weighted by saturation",
        "0",
        "nothing published",
        "pixels",
        *single("hue_circ_corr", _hue_circ, chance=0.0),
        default=True,
    ),
)
