"""Make clips that need no brain and no generator, to be scored like decoded ones."""

from functools import partial
from pathlib import Path

from neurocine.cli import program
from neurocine.io import write_arrays
from neurocine.metrics.baselines import MakeBaselinesSettings, make_baselines
from neurocine.provenance import header
from neurocine.stimuli.cached import every_kth_clip, listed_movies, random_frames


@program
def main(
    *,
    baseline: str,
    stimuli: list[Path],
    train_stimuli: list[Path],
    every: int,
    seed: int,
    settings: MakeBaselinesSettings,
    out: Path,
) -> None:
    """Make one baseline for the clips that are decoded.

    Parameters
    ----------
    baseline : static: the first frame of the true clip, held; blurred: for each clip a random frame of the
        training movies, blurred and held
    stimuli : files of prepare_stimuli, test movies
    train_stimuli : files of prepare_stimuli, training movies
    every : clips 0, k, 2k ... of each movie, as in decode
    seed : of the drawn frames
    settings : section make_baselines of the config, as JSON
    out : per movie frames (n, F, H, W, 3) uint8 and {movie}/clip, as decode writes them
    """
    draw_frames = partial(random_frames, train_stimuli)
    arrays = make_baselines(baseline, every_kth_clip(stimuli, every), draw_frames, settings, seed)
    movies = [name for name in arrays if "/" not in name]
    behind = sorted({*movies, *([] if baseline == "static" else listed_movies(train_stimuli))})
    axes = "clip, frame, height, width, RGB"
    meta = header("make_baselines", settings, behind, condition=baseline, seed=seed, movies=movies, axes=axes)
    write_arrays(out, arrays, meta)


if __name__ == "__main__":
    main()
