"""Caption clips with BLIP, or take captions from files."""

from pathlib import Path

from neurocine.cli import program
from neurocine.datasets.base import Movie
from neurocine.io import open_arrays, write_table
from neurocine.stimuli.cached import clip_shapes
from neurocine.stimuli.caption import CaptionClipsSettings, caption_clips


@program
def main(
    *,
    stimuli: Path,
    model: Path,
    settings: CaptionClipsSettings,
    out: Path,
    clip: list[Path] | None = None,
    listed_movies: list[str] | None = None,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Caption clips with BLIP, or take captions from files.

    Parameters
    ----------
    stimuli : file of prepare_stimuli
    model : folder of BLIP in the layout of the backend; not read when the captions come from files
    settings : section caption_clips of the config, as JSON
    out : table to write: movie, clip, frame (-1 for the whole clip), caption
    clip : folder of CLIP, which compares captions of two frames; none where there is one caption to a frame
    listed_movies : all movies of settings.lists, as the workflow describes movies
    seed : of the study; one of two captions that tell the same is drawn
    device : auto, cpu or cuda
    """
    with open_arrays(stimuli) as handle:
        shapes = clip_shapes(handle, stimuli)
        judge = next(iter(clip or ()), None)
        listed = {movie.name: movie.n_clips for movie in map(Movie.read, listed_movies or ())}
        table = caption_clips(shapes, handle.get_tensor, model, settings, device, judge, seed, listed)
    write_table(out, table)


if __name__ == "__main__":
    main()
