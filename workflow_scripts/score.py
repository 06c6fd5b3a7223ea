"""Score decoded clips against what was shown."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from neurocine.cli import program
from neurocine.columns import write_described_table
from neurocine.errors import InputError
from neurocine.io import fixed_digits, read_arrays, write_arrays
from neurocine.metrics.judges import parse_networks
from neurocine.metrics.score import Originals, Predictions, score
from neurocine.metrics.settings import ScoreSettings
from neurocine.models.pretrained import load_vae, pick_device
from neurocine.models.vae import decode_latents
from neurocine.provenance import header
from neurocine.stimuli.decoded import MovieFiles

log = logging.getLogger("score")


def read_ceiling(
    latents: list[Path],
    stable_diffusion: Path,
    clips: Mapping[str, np.ndarray],
    seed: int,
    device: str,
    batch: int,
) -> Predictions:
    """The best that the decoder can reach: the true clips after the round trip through its VAE."""
    files, vae = MovieFiles(latents, "--latents"), load_vae(stable_diffusion, device)

    def read(movie: str) -> np.ndarray:
        return decode_latents(vae, files.rows(movie, clips[movie]).astype(np.float32), batch)

    return Predictions("vae", seed, clips, read)


@program
def main(
    *,
    decoded: list[Path],
    stimuli: list[Path],
    train_stimuli: list[Path],
    networks: list[str],
    settings: ScoreSettings,
    seed: int,
    dataset: str,
    subject: str,
    method: str,
    experiment: str,
    out: Path,
    clip_scores: Path | None = None,
    cache: Path | None = None,
    latents: list[Path] | None = None,
    stable_diffusion: Path | None = None,
    device: str = "auto",
) -> None:
    """Score one or several conditions of one subject under one experiment.

    Parameters
    ----------
    decoded : files of decode, one per condition
    stimuli : files of prepare_stimuli that hold the decoded movies
    train_stimuli : files of prepare_stimuli of the training movies, for the mean frame
    networks : folders of the networks that metrics need, name=folder; where one is not given, metrics that
        have a stand-in are scored under its name
    settings : section score of the config, as JSON
    seed : of the null's and the bootstrap's draws, and of decoded files that name none
    dataset : name for the table
    subject : name for the table
    method : name for the table
    experiment : name for the table
    out : scores, one row per condition and metric (TSV)
    clip_scores : scores of single clips (TSV)
    cache : logits, embeddings and flows of an earlier run, used where nothing changed, and written
        (safetensors)
    latents : files of encode_latents of the decoded movies, for the ceiling "vae"
    stable_diffusion : folder of Stable Diffusion, for the ceiling "vae"
    device : auto, cpu or cuda
    """
    if not decoded:
        raise InputError("--decoded", "no file", "at least one file of decode", "Run decode.")
    device = str(pick_device(device))
    shown, training = MovieFiles(stimuli, "--stimuli"), MovieFiles(train_stimuli, "--train-stimuli")
    originals = Originals(shown.clip_shape(), shown.rows, map(training.read, training.movies))
    predictions = [Predictions.from_file(path, seed) for path in decoded]
    if latents and stable_diffusion:
        clips = predictions[0].clips
        predictions.append(read_ceiling(latents, stable_diffusion, clips, seed, device, settings.batch_size))
    cached = read_arrays(cache)[0] if cache is not None and cache.is_file() else {}
    scores = score(predictions, originals, parse_networks(networks), settings, seed, cached, device)
    for note in scores.notes:
        log.info(note)
    keys = {"dataset": dataset, "subject": subject, "method": method, "experiment": experiment}
    table = scores.table.assign(**keys)
    last = [name for name in scores.table.columns if name not in ("condition", "seed")]
    write_described_table(out, fixed_digits(table[[*keys, "condition", *last, "seed"]]))
    if clip_scores is not None:
        write_described_table(clip_scores, fixed_digits(scores.clips))
    if cache is not None:
        try:
            write_arrays(cache, scores.features, header("score", settings, []))
        except (
            OSError,
            SafetensorError,
        ) as error:  # the scores are worth more than time saved next time
            log.warning("nothing was saved in %s: %s", cache, error)


if __name__ == "__main__":
    main()
