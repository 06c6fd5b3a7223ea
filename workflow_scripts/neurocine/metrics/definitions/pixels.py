"""Metrics of pixels: structural similarity, error, hue."""

import numpy as np

from neurocine.metrics.features import Clips
from neurocine.metrics.metric import Judge, Metric, single

# SSIM of clips that do not belong together: at all windows of small frames, at about 32 x 32 of larger ones
SMALL_FRAME, PAIR_WINDOWS = 64, 32  # pixels, windows per axis


def with_exact_values(estimated: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Put exact scores on the diagonal of estimated ones without moving it against the rest.

    An estimate may err by an amount common to all pairs, and a value must not be compared with a null that
    errs otherwise. All pairs are moved by the mean error of the matched ones, so the mean over clips lies to
    the null as the estimated mean does to the estimated null.

    Parameters
    ----------
    estimated : (n, n) scores of prediction i with true clip j
    exact : (n,) scores of each prediction with its own clip

    Returns
    -------
    (n, n) float64
    """
    moved = estimated + (exact.mean() - np.diagonal(estimated).mean())
    np.fill_diagonal(moved, exact)
    return moved


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
    return with_exact_values(scores, exact(x, y).mean(axis=1)) if stride > 1 else scores


def _ssim_metric(
    name: str,
    definition: str,
    chance_text: str,
    comparable: str,
    min_side: int,
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
        min_side=min_side,
        default=default,
        short_table=short_table or {},
    )


def _psnr(predicted: Clips, truth: Clips, _: Judge) -> np.ndarray:
    from neurocine.metrics.psnr import psnr_pairs

    return psnr_pairs(predicted.videos, truth.videos)


def _pix_corr(predicted: Clips, truth: Clips, _: Judge) -> np.ndarray:
    from neurocine.metrics.psnr import pix_corr_pairs

    return pix_corr_pairs(predicted.videos, truth.videos)


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
        "none; a grey frame reaches .44 and .51 (below)",
        "MinD-Video at 256²; NeuroCine, whose definition is inferred",
        min_side=7,
        default=True,
        short_table={"ssim_mv": 10},
    ),
    _ssim_metric(
        "ssim_gauss_gray",
        "grey, Gaussian window σ 1.5, population covariance",
        "none",
        "papers that use scikit-image's Gaussian option on grey frames",
        min_side=11,
    ),
    _ssim_metric(
        "ssim_colbug",
        "the same call with image columns taken for channels: 1-D windows",
        "none; 1.25 to 1.65 times `ssim_mv`",
        "parity only: NEURONS; the scale of NeuroClips",
        min_side=11,
    ),
    Metric(
        "psnr255",
        "20 log10(255 / √MSE) per frame, at most 100 dB",
        "none; a grey frame reaches 11.7 to 12.0 dB",
        "MinD-Video, Mind-Animator",
        "pixels",
        *single("psnr255", _psnr),
        value_range=(0.0, 100.0),
        default=True,
        short_table={"psnr255": 20},
    ),
    Metric(
        "pix_corr",
        "Pearson correlation over pixels and channels of a frame, mean over the frames; 0 where a frame has "
        "one value",
        "0; a grey frame gets 0",
        'nothing of video; "PixCorr" of image decoding',
        "pixels",
        *single("pix_corr", _pix_corr, chance=0.0),
        default=True,
    ),
    Metric(
        "hue_cos_ma",
        "cosine of 8-bit OpenCV hues with red and blue exchanged, / 360, mean over the frames; "
        'published as "hue-pcc"; 0 where a frame has no colour (their code: not a number)',
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
