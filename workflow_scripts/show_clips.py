"""Show decoded clips beside the originals: whole movies, and chosen clips as film strips and playing."""

from contextlib import ExitStack
from pathlib import Path

from neurocine.cli import program
from neurocine.io import open_arrays, read_table
from neurocine.stimuli.show import ShowClipsSettings
from neurocine.stimuli.show_clips import DecodedClips, ShownFiles, show_clips


@program
def main(
    *,
    decoded: Path,
    stimuli: list[Path],
    seed: int,
    settings: ShowClipsSettings,
    out_clips: list[Path],
    out_strips: list[Path],
    clip_scores: Path | None = None,
    name: str = "",
    controls: list[Path] | None = None,
    out_controls: list[Path] | None = None,
) -> None:
    """Show decoded clips beside the originals: whole movies, and chosen clips as film strips and playing.

    Parameters
    ----------
    decoded : file of decode
    stimuli : files of prepare_stimuli that hold the originals
    seed : of the study, for clips chosen at random
    settings : section show_clips of the config, as JSON
    out_clips : movies to write, {movie}.mp4: original left, decoded right
    out_strips : chosen clips to write, named by the choice: best, median, worst, random or first; .png and
        .jpg are sheets of film strips, .mp4 plays the clips
    clip_scores : scores of single clips (score), needed for best, median and worst
    name : written on the sheets, for example "subject 1, paper_main"
    controls : further files like ``decoded``, one per condition
    out_controls : chosen clips of the controls to write, {condition}/{choice}.mp4, .png or .jpg
    """
    scores = None if clip_scores is None else read_table(clip_scores, ["movie", "clip", settings.metric])
    files = ShownFiles(out_clips, out_strips, out_controls or [])
    with ExitStack() as opened:
        originals = [opened.enter_context(open_arrays(path)) for path in stimuli]
        first, *others = (
            DecodedClips(opened.enter_context(open_arrays(path)), originals)
            for path in [decoded, *(controls or [])]
        )
        show_clips(first, others, files, scores, settings, seed, name)


if __name__ == "__main__":
    main()
