"""Show for each window of test fMRI the training clip with the nearest embedding."""

from pathlib import Path

import numpy as np
import torch

from neurocine.cli import program
from neurocine.fmri.assemble import SubjectFmri
from neurocine.fmri.windows import window_index
from neurocine.io import open_arrays, write_arrays
from neurocine.metrics.agreement import embed, mean_direction
from neurocine.metrics.retrieval import RetrieveClipsSettings, nearest
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.models.pretrained import pick_device
from neurocine.provenance import header, movies_behind
from neurocine.stimuli.cached import CachedClips


def read_clips(files: list[Path], wanted: list[tuple[str, int]]) -> np.ndarray:
    """Read single clips (n, F, H, W, 3) uint8, each in the order wanted."""
    found: dict[tuple[str, int], np.ndarray] = {}
    for path in files:
        with open_arrays(path) as handle:
            names = set(handle.keys())
            for movie, clip in set(wanted):
                if movie in names:
                    found[movie, clip] = handle.get_slice(movie)[clip : clip + 1][0]
    return np.stack([found[clip] for clip in wanted])


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
    fmri : test file of assemble_subject
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
    candidates = CachedClips.read(embeddings, "image")
    directions = mean_direction(candidates.rows)
    bold = SubjectFmri.read(fmri, with_repeats=False).bold
    arrays: dict[str, np.ndarray] = {}
    for movie, samples in bold.items():
        index = np.arange(0, len(samples), every)
        cut = samples[window_index(len(samples), model.config.window)[index]]
        with torch.no_grad():
            rows = nearest(embed(model, cut, None, settings.batch_size), directions)
        arrays[movie] = read_clips(stimuli, [candidates.clips[row] for row in rows])
        arrays[f"{movie}/clip"] = index
    meta = header(
        "retrieve_clips",
        settings,
        behind,
        condition="retrieval",
        seed=seed,
        movies=list(bold),
        axes="clip, frame, height, width, RGB",
    )
    write_arrays(out, arrays, meta)


if __name__ == "__main__":
    main()
