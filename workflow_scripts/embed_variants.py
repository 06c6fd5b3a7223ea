"""Embed varied captions and random crops of frames with CLIP, for trainings to draw from."""

from pathlib import Path

from neurocine.cli import program
from neurocine.io import open_arrays, write_arrays
from neurocine.models.pretrained import load_clip, pick_device
from neurocine.provenance import header
from neurocine.stimuli.cached import movies_in
from neurocine.stimuli.caption_files import read_captions
from neurocine.stimuli.variants import EmbedVariantsSettings, embed_variants, read_variants


@program
def main(
    *,
    stimuli: Path,
    captions: Path,
    variants: Path,
    clip: Path,
    seed: int,
    settings: EmbedVariantsSettings,
    out: Path,
    device: str = "auto",
) -> None:
    """Embed varied captions and random crops of frames with CLIP, for trainings to draw from.

    Parameters
    ----------
    stimuli : file of prepare_stimuli
    captions : table of caption_clips
    variants : table of augment_captions
    clip : folder of CLIP
    seed : of the crops
    settings : section embed_variants of the config, as JSON
    out : file to write: texts, and per movie variant_index and image_crops
    device : auto, cpu or cuda
    """
    with open_arrays(stimuli) as handle:
        movies = movies_in(handle)
        clips = {movie: handle.get_tensor(movie) for movie in movies}
    texts = read_captions(captions, {movie: frames.shape[:2] for movie, frames in clips.items()})
    parts = load_clip(clip, pick_device(device))
    arrays = embed_variants(texts, read_variants(variants, texts), clips, parts, settings, seed)
    write_arrays(out, arrays, header("embed_variants", settings, movies, seed=seed, movies=movies))


if __name__ == "__main__":
    main()
