"""Cut movies into clips of one TR and keep a few frames of each."""

from pathlib import Path

from neurocine.cli import program
from neurocine.errors import InputError
from neurocine.io import file_sha256, write_arrays
from neurocine.provenance import header
from neurocine.stimuli.prepare import PrepareStimuliSettings, prepare_stimuli


@program
def main(*, videos: list[Path], settings: PrepareStimuliSettings, out: Path) -> None:
    """Cut movies into clips of one TR and keep a few frames of each.

    Parameters
    ----------
    videos : movies, each named like its file without the suffix
    settings : section prepare_stimuli of the config, as JSON
    out : file to write: per movie uint8 (clips, frames, height, width, 3)
    """
    named = {path.stem: path for path in videos}
    if len(named) != len(videos) or not videos:
        found = ", ".join(map(str, videos)) or "nothing"
        raise InputError("--videos", found, "movies with different names", "Name each movie once.")
    clips = prepare_stimuli(named, settings)
    meta = header(
        "prepare_stimuli",
        settings,
        named,
        movies=list(named),
        shape="clips, frames, height, width, RGB",
        sha256={movie: file_sha256(path) for movie, path in named.items()},
    )
    write_arrays(out, clips, meta)


if __name__ == "__main__":
    main()
