"""Time and peak memory of scoring a study of the published size, without the frozen networks.

1,200 clips x 6 frames x 256 x 256 pixels in 5 movies, moving textures made on the fly: all metrics that need
no network, pairs of the null included, then null, bootstrap and table. Prints seconds of each metric, the
total and the peak memory; ends with an error above 4 GB. Beside the wall clock stand seconds of CPU time of
all threads, which tell more on a machine that does other work too: two busy cores spend two in a second.
"""

import argparse
import contextlib
import dataclasses
import resource
import time
from collections.abc import Iterator

import numpy as np
import torch

from neurocine.metrics import registry
from neurocine.metrics.baselines import constant_video
from neurocine.metrics.definitions.motion import flow_extractor
from neurocine.metrics.features import FeatureStore
from neurocine.metrics.metric import Judge, PairFunction
from neurocine.metrics.score import metric_chances, score_movie, summarise_scores
from neurocine.metrics.settings import ScoreSettings

METRICS = (
    *("ssim_mv", "ssim_gauss_gray", "ssim_colbug", "psnr255", "hue_cos_ma", "hue_circ_corr"),
    *("epe_farneback", "flow_cos", "flow_corr", "motion_energy_rho", "motion_id_2way"),
)
LIMIT_GB = 4


def clocks() -> np.ndarray:
    """Seconds of the wall clock, and of CPU time of all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def textures(n: int, frames: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """Coarse noise, enlarged and rolled from frame to frame: uint8 (n, frames, size, size, 3)."""
    videos = np.empty((n, frames, size, size, 3), dtype=np.uint8)
    for video in videos:
        coarse = generator.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
        picture = coarse.repeat(8, axis=0).repeat(8, axis=1)
        step = generator.integers(-3, 4, 2)
        for t, frame in enumerate(video):
            frame[:] = np.roll(picture, tuple(t * step), axis=(0, 1))
    return videos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--movies", type=int, default=5)
    parser.add_argument("--clips", type=int, default=240, help="per movie")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--metrics", nargs="+", default=METRICS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = ScoreSettings(metrics=tuple(arguments.metrics))
    judge = Judge({}, settings)
    seconds: dict[str, np.ndarray] = {}

    @contextlib.contextmanager
    def timing(name: str) -> Iterator[None]:
        started = clocks()
        yield
        seconds[name] = seconds.get(name, np.zeros(2)) + clocks() - started

    def timed(name: str, pairs: PairFunction) -> PairFunction:
        def run(*clips: object) -> dict[str, np.ndarray]:
            with timing(name):
                return pairs(*clips)  # type: ignore[arg-type]

        return run

    for name, metric in registry.METRICS.items():
        registry.METRICS[name] = dataclasses.replace(metric, pairs=timed(name, metric.pairs))
    store = FeatureStore({"flow": flow_extractor("cpu")})
    shape = (arguments.frames, arguments.size, arguments.size, 3)
    greys = {"constant": 110, "mean_frame": 90}
    baselines = {name: store.run(constant_video(shape, grey)) for name, grey in greys.items()}
    generator = np.random.default_rng(0)
    movies, making = [], np.zeros(2)
    began = clocks()
    for number in range(arguments.movies):
        started = clocks()
        sides = [textures(arguments.clips, *shape[:2], generator) for _ in range(2)]
        making += clocks() - started
        with timing("optical flow"):
            clips = [store.run(videos) for videos in sides]
        where = np.arange(arguments.clips)
        movies.append(score_movie(f"test{number}", where, *clips, baselines, judge))
        print(f"movie {number + 1} of {arguments.movies}: {(clocks() - began)[0]:.0f} s", flush=True)
    with timing("null and bootstrap"):
        table = summarise_scores(movies, metric_chances({}, settings), settings, seed=0)
    wall, cpu = clocks() - began - making
    print(table.to_string(index=False))
    for name, (own_wall, own_cpu) in seconds.items():
        if own_wall > 0.05:
            print(f"{name:20s} {own_wall:7.1f} s, {own_cpu:7.1f} s of CPU time")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    n = arguments.movies * arguments.clips
    print(f"{n} clips x {arguments.frames} frames x {arguments.size}²: {wall:.0f} s, {cpu:.0f} s of CPU time")
    print(f"peak {peak:.2f} GB")
    if peak > LIMIT_GB:
        raise SystemExit(f"more than {LIMIT_GB} GB")


if __name__ == "__main__":
    main()
