"""Caption clips with BLIP, or take the captions of a table."""

from pathlib import Path

import pandas as pd

from neurocine.cli import program
from neurocine.io import open_arrays, write_table
from neurocine.models.pretrained import pick_device
from neurocine.stimuli.cached import clip_shapes
from neurocine.stimuli.caption import CaptionClipsSettings, caption_clips, copy_captions, make_captioner


@program
def main(
    *, stimuli: Path, model: Path, settings: CaptionClipsSettings, out: Path, device: str = "auto"
) -> None:
    """Caption clips with BLIP, or take the captions of a table.

    Parameters
    ----------
    stimuli : file of prepare_stimuli
    model : folder of BLIP in the layout of the backend; not read when the captions come from a table
    settings : section caption_clips of the config, as JSON
    out : table to write: movie, clip, frame (-1 for the whole clip), caption
    device : auto, cpu or cuda
    """
    with open_arrays(stimuli) as handle:
        shapes = clip_shapes(handle, stimuli)
        if settings.backend == "file":
            table = copy_captions(Path(settings.file), shapes)
        else:
            captioner = make_captioner(settings, model, pick_device(device))
            tables = [caption_clips(movie, handle.get_tensor(movie), captioner, settings) for movie in shapes]
            table = pd.concat(tables, ignore_index=True)
    write_table(out, table)


if __name__ == "__main__":
    main()
