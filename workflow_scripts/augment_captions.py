"""Vary captions: words replaced, inserted, swapped or deleted at random."""

from pathlib import Path

from neurocine.cli import program
from neurocine.io import open_arrays, write_table
from neurocine.stimuli.augment import AugmentCaptionsSettings, augment_captions, usable_synonyms
from neurocine.stimuli.cached import movies_in
from neurocine.stimuli.caption_files import read_captions


@program
def main(*, stimuli: Path, captions: Path, seed: int, settings: AugmentCaptionsSettings, out: Path) -> None:
    """Vary captions: words replaced, inserted, swapped or deleted at random.

    Parameters
    ----------
    stimuli : file of prepare_stimuli
    captions : table of caption_clips
    seed : of the study
    settings : section augment_captions of the config, as JSON
    out : table to write: caption, variant (0 is the caption itself), text
    """
    with open_arrays(stimuli) as handle:
        shapes = {movie: tuple(handle.get_slice(movie).get_shape()[:2]) for movie in movies_in(handle)}
    texts = read_captions(captions, shapes)
    write_table(out, augment_captions(texts, settings, usable_synonyms(settings), seed))


if __name__ == "__main__":
    main()
