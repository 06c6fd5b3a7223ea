"""Caption clips with BLIP, or take the captions of a table."""

from pathlib import Path

from neurocine.cli import program
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
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Caption clips with BLIP, or take the captions of a table.

    Parameters
    ----------
    stimuli : file of prepare_stimuli
    model : folder of BLIP in the layout of the backend; not read when the captions come from a table
    settings : section caption_clips of the config, as JSON
    out : table to write: movie, clip, frame (-1 for the whole clip), caption
    clip : folder of CLIP, which compares captions of two frames; none where there is one caption to a frame
    seed : of the study; one of two captions that tell the same is drawn
    device : auto, cpu or cuda
    """
    with open_arrays(stimuli) as handle:
        shapes = clip_shapes(handle, stimuli)
        table = caption_clips(
            shapes, handle.get_tensor, model, settings, device, next(iter(clip or ()), None), seed
        )
    write_table(out, table)


if __name__ == "__main__":
    main()
