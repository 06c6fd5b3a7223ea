"""Show for each window of test fMRI the training clip with the nearest embedding."""

from functools import partial
from pathlib import Path

from neurocine.cli import program
from neurocine.fmri.assemble import SubjectFmri
from neurocine.io import write_arrays
from neurocine.metrics.retrieval import RetrieveClipsSettings, retrieve_clips
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.models.pretrained import pick_device
from neurocine.provenance import header, movies_behind
from neurocine.stimuli.cached import CachedClips, read_clips


@program
def main(
    *,
    encoder: Path,
    fmri: Path,
    embeddings: list[Path],
    stimuli: list[Path],
    every: int,
    seed: int,
    settings: RetrieveClipsSettings,
    out: Path,
    device: str = "auto",
) -> None:
    """Retrieve clips instead of generating them: what the encoder knows, without the generator.

    Parameters
    ----------
    encoder : folder encoder/ of train_encoder
    fmri : test file of assemble_test
    embeddings : files of embed_clips, training movies
    stimuli : files of prepare_stimuli, training movies
    every : clips 0, k, 2k ... of each movie, as in decode
    seed : written for the tables; nothing is drawn
    settings : section retrieve_clips of the config, as JSON
    out : per movie frames (n, F, H, W, 3) uint8 and {movie}/clip, as decode writes them
    device : auto, cpu or cuda
    """
    behind = movies_behind([encoder / "model.safetensors", fmri, *embeddings])
    model = FmriEncoder.from_pretrained(encoder).to(pick_device(device))
    bold = SubjectFmri.read(fmri, with_repeats=False).bold
    candidates = CachedClips.read(embeddings, "image")
    arrays = retrieve_clips(model, bold, candidates, partial(read_clips, stimuli), every, settings)
    facts = {"condition": "retrieval", "seed": seed, "movies": list(bold)}
    axes = "clip, frame, height, width, RGB"
    write_arrays(out, arrays, header("retrieve_clips", settings, behind, **facts, axes=axes))


if __name__ == "__main__":
    main()
