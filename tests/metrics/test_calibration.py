"""What the tables promise, of every metric and in simulation: p of 1 and uniform p, coverage, error rates."""

import numpy as np
import pytest
from scipy import stats

from metrics.tiny import apart, moving_movie
from neurocine.metrics.definitions.motion import flow_extractor
from neurocine.metrics.definitions.pixels import PAIR_WINDOWS
from neurocine.metrics.features import Clips, FeatureStore
from neurocine.metrics.metric import Judge
from neurocine.metrics.null import shift_null
from neurocine.metrics.registry import METRICS
from neurocine.metrics.score import add_retrieval, metric_chances, score_movie, summarise_scores
from neurocine.metrics.settings import ScoreSettings
from neurocine.metrics.ssim import COLUMN_BUG, GAUSS_GREY, MV, ssim_pairs
from neurocine.metrics.statistics import mean_intervals, rank_contributions
from neurocine.simulate.courses import COURSES

LABELS = {f"{kind}_logits": [f"{kind} {i}" for i in range(60)] for kind in ("image", "video")}
SETTINGS = ScoreSettings(
    metrics=tuple(METRICS), n_ways=(2, 50), min_shift_tr=3, null_draws=1000, bootstrap_draws=1000
)
STORE = FeatureStore(
    {
        "flow": flow_extractor("cpu"),
        "flow_512": flow_extractor("cpu", 64),
        "flow_ma": flow_extractor("cpu", 64),
    }
)
WINDOWS = {"ssim_mv": MV, "ssim_gauss_gray": GAUSS_GREY, "ssim_colbug": COLUMN_BUG}
SHAPES = {"image_logits": (2, 60), "video_logits": (60,), "clip": (2, 16), "vifi": (2, 16)}
SHAPES["videomae"] = (16,)
COMPARE = {"lpips": apart}


def with_features(videos: np.ndarray, random: np.random.Generator, same: bool = False) -> Clips:
    """Clips with random logits and embeddings, the same for all if ``same``."""
    made = {}
    for name, shape in SHAPES.items():
        values = random.normal(size=(1 if same else len(videos), *shape)).astype(np.float32)
        made[name] = np.broadcast_to(values, (len(videos), *shape)).copy()
    return Clips(videos, made | STORE.run(videos).features)


@pytest.fixture(scope="module", params=[64, 256])
def originals(request: pytest.FixtureRequest) -> Clips:
    return with_features(moving_movie(10, 1, request.param), np.random.default_rng(1))


@pytest.fixture(scope="module")
def unrelated(originals: Clips) -> Clips:
    """Clips of another movie."""
    videos = moving_movie(len(originals.videos), 9, originals.videos.shape[2])
    return with_features(videos, np.random.default_rng(4))


@pytest.mark.parametrize("kind", ["noise", "picture"])
def test_one_prediction_for_all_clips_has_a_p_of_one(originals: Clips, kind: str) -> None:
    random = np.random.default_rng(2)
    shape = originals.videos.shape
    one = {
        "noise": random.integers(0, 256, shape[1:], dtype=np.uint8),
        "picture": moving_movie(1, 5, shape[2])[0],
    }[kind]
    predicted = with_features(np.broadcast_to(one, shape).copy(), random, same=True)
    grey = with_features(np.full_like(originals.videos[:1], 110), random)
    baselines = {"constant": grey, "mean_frame": grey}
    clips = np.arange(shape[0])
    judge = Judge(LABELS, SETTINGS, compare=COMPARE)
    movie = score_movie("test1", clips, predicted, originals, baselines, judge)
    movies, found = add_retrieval([movie], SETTINGS)
    table = summarise_scores(movies, metric_chances(LABELS, SETTINGS) | found, SETTINGS, seed=0)
    assert len(table) > 30
    assert table.loc[table["p_value"] < 1, "metric"].tolist() == []


@pytest.mark.parametrize("name", [name for name in METRICS if not name.startswith(("clip_pcc", "retrieval"))])
def test_random_pairings_have_uniform_p(originals: Clips, unrelated: Clips, name: str) -> None:
    """All orders of the predictions are as likely: p, less its step's random part, is uniform."""
    random = np.random.default_rng(3)
    n = len(originals.videos)
    null = shift_null([np.arange(n)], 3, 1000, random)

    def scored(order: np.ndarray, matched: bool) -> np.ndarray:
        features = {key: values[order] for key, values in unrelated.features.items()}
        judge = Judge(LABELS, SETTINGS, matched=matched, compare=COMPARE)
        given = Clips(unrelated.videos[order], features), originals, judge
        return next(iter(METRICS[name].pairs(*given).values()))

    def p_value(pairs: np.ndarray) -> float:
        return null.summarise(np.diagonal(pairs).mean(), [pairs]).p_value

    orders = [random.permutation(n) for _ in range(400)]
    size = originals.videos.shape[2]
    if name in WINDOWS and size > 64:
        # Estimated at every eighth window; then exact scores are put on the diagonal, which must not matter.
        pairs = ssim_pairs(
            unrelated.videos, originals.videos, window=WINDOWS[name], stride=size // PAIR_WINDOWS
        )
    else:
        pairs = scored(np.arange(n), matched=False)
    for order in orders[:3]:
        assert p_value(scored(order, matched=True)) == p_value(pairs[order])
    p = np.array([p_value(pairs[order]) for order in orders])
    assert stats.kstest(p - random.uniform(size=len(p)) / n, "uniform").pvalue > 0.005


def coverage(kind: str, n_movies: int, n_tr: int, every: int, seed: int) -> float:
    """Share of 600 simulated studies (as many metrics) whose 95 % interval holds the true mean, 0."""
    random = np.random.default_rng(seed)
    values = [COURSES[kind](random, (n_tr, 600))[::every] for _ in range(n_movies)]
    clips = [np.arange(0, n_tr, every)] * n_movies
    found = mean_intervals(values, clips, 15, 500, random)
    return float(((found.low < 0) & (found.high > 0)).mean())


@pytest.mark.parametrize("kind", [name for name in COURSES if name != "walk"])
def test_intervals_cover_the_mean(kind: str) -> None:
    """Nominal .95; a plain bootstrap in blocks of 15 TR covers .93, .92, .87, .67, .65 and .73."""
    for number, design in enumerate(((2, 240, 4), (5, 240, 1))):
        assert 0.90 < coverage(kind, *design, seed=number) < 0.985


def test_the_interval_of_a_rank_correlation_covers_it() -> None:
    """Speeds of 40 clips with a correlation of .94: intervals of products of ranks were 3.5 times as wide."""
    random = np.random.default_rng(5)
    shown = random.normal(size=(20_000, 2)) @ [[1, 0.9], [0, 0.3]]
    true = stats.spearmanr(*shown.T).statistic
    values = []
    for _ in range(400):
        sample = shown[random.integers(len(shown), size=40)]
        values.append(rank_contributions(*sample.T))
        assert values[-1].mean() == pytest.approx(stats.spearmanr(*sample.T).statistic)
    found = mean_intervals([np.stack(values, axis=1)], [np.arange(0, 600, 15)], 15, 500, random)
    assert 0.92 < ((found.low < true) & (true < found.high)).mean() < 0.99


def test_contributions_spread_as_ranking_again_does() -> None:
    random = np.random.default_rng(6)
    for match in (0.0, 1.0, 4.0):
        first = np.round(random.normal(size=60), 1)  # with ties
        second = match * first + random.normal(size=60)
        drawn = random.integers(60, size=(2000, 60))
        ranked = [stats.rankdata(values[drawn], axis=1) for values in (first, second)]
        again = [np.corrcoef(*pair)[0, 1] for pair in zip(*ranked, strict=True)]
        one = rank_contributions(first, second)
        assert one[drawn].mean(axis=1).std() == pytest.approx(np.std(again), rel=0.12)
    np.testing.assert_allclose(rank_contributions(first, first), 1)
    assert (rank_contributions(first, np.ones(60)) == 0).all()
