"""Cut movies into clips of one TR and keep a few frames of each."""

from pathlib import Path

from neurocine.cli import program
from neurocine.datasets.base import Movie, movie_files, pair
from neurocine.errors import InputError
from neurocine.io import file_sha256, write_arrays
from neurocine.provenance import header
from neurocine.stimuli.prepare import PrepareStimuliSettings, prepare_stimuli


@program
def main(*, videos: list[Path], movies: list[str], settings: PrepareStimuliSettings, out: Path) -> None:
    """Cut movies into clips of one TR and keep a few frames of each.

    Parameters
    ----------
    videos : files
    movies : name, clips and TR of each, as JSON, in the same order
    settings : section prepare_stimuli of the config, as JSON
    out : file to write: per movie uint8 (clips, frames, height, width, 3)
    """
    rows = [Movie.read(text) for text in movies]
    named = {movie.name: (path, movie) for path, movie in pair(videos, rows)}
    if len(named) != len(videos) or not videos:
        found = ", ".join(movie.name for movie in rows) or "nothing"
        raise InputError("--movies", found, "movies with different names", "Name each movie once.")
    clips = prepare_stimuli(videos, rows, settings)
    meta = header(
        "prepare_stimuli",
        settings,
        named,
        movies=list(named),
        shape="clips, frames, height, width, RGB",
        sha256={name: _hashes(*item) for name, item in named.items()},
    )
    write_arrays(out, clips, meta)


def _hashes(path: Path, movie: Movie) -> str | dict[str, str]:
    """Hash the movie's file, or those of its clips by their names."""
    hashes = {file.name: file_sha256(file) for file in movie_files(path, movie)}
    return hashes if movie.files else hashes[path.name]


if __name__ == "__main__":
    main()
