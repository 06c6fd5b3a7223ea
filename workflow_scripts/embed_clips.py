"""Embed captions and frames with CLIP, and captions with the diffusion model's text encoder."""

from pathlib import Path

from neurocine.cli import program
from neurocine.io import open_arrays, refuse_nonfinite, write_arrays
from neurocine.models.pretrained import load_clip, load_text_encoder, pick_device
from neurocine.provenance import header
from neurocine.stimuli.cached import clip_shapes
from neurocine.stimuli.caption_files import read_captions
from neurocine.stimuli.embed import EmbedClipsSettings, embed_clips


@program
def main(
    *,
    stimuli: Path,
    captions: Path,
    clip: Path,
    stable_diffusion: Path,
    settings: EmbedClipsSettings,
    out: Path,
    device: str = "auto",
) -> None:
    """Embed captions and frames with CLIP, and captions with the diffusion model's text encoder.

    Parameters
    ----------
    stimuli : file of prepare_stimuli
    captions : table of caption_clips
    clip : folder of CLIP
    stable_diffusion : folder of Stable Diffusion, for its text encoder
    settings : section embed_clips of the config, as JSON
    out : file to write: per movie text, image and state_index, then text_states and null_states
    device : auto, cpu or cuda
    """
    where = pick_device(device)
    with open_arrays(stimuli) as handle:
        shapes = clip_shapes(handle, stimuli)
        movies = list(shapes)
        texts = read_captions(captions, shapes)
        networks = load_clip(clip, where), load_text_encoder(stable_diffusion, where)
        clips = ((movie, handle.get_tensor(movie)) for movie in movies)
        arrays = embed_clips(clips, texts, *networks, settings)
    refuse_nonfinite(arrays, f"{clip}, {stable_diffusion}")
    write_arrays(out, arrays, header("embed_clips", settings, movies, movies=movies))


if __name__ == "__main__":
    main()
