"""Test whether the frames of decoded clips are in the order of the original clips."""

from pathlib import Path

from neurocine.cli import program
from neurocine.columns import write_described_table
from neurocine.io import fixed_digits, read_table
from neurocine.metrics.judges import parse_networks
from neurocine.metrics.order import OrderSettings, test_order
from neurocine.metrics.score import Originals, Predictions
from neurocine.metrics.settings import ScoreSettings
from neurocine.models.pretrained import pick_device
from neurocine.stimuli.decoded import MovieFiles


@program
def main(
    *,
    decoded: Path,
    stimuli: list[Path],
    clip_scores: Path,
    networks: list[str],
    seed: int,
    settings: OrderSettings,
    score: ScoreSettings,
    out: Path,
    device: str = "auto",
) -> None:
    """Compare decoded clips with their frames permuted, reversed or held, and with the truth of other clips.

    Parameters
    ----------
    decoded : clips decoded from fMRI
    stimuli : files of prepare_stimuli that hold the decoded movies
    clip_scores : table of score of the same experiment, which tells what other seeds identify
    networks : folders of networks, name=folder; clip is needed
    seed : of the study, and of a decoded file that names none
    settings : section test_order of the config, as JSON
    score : section score of the config, as JSON, for pairings and blocks
    out : table (TSV): a row per condition, sample of clips and measure
    device : auto, cpu or cuda
    """
    shown = MovieFiles(stimuli, "--stimuli")
    originals = Originals(shown.clip_shape(), shown.rows, ())
    scored = read_table(clip_scores, ["condition", "seed", "movie", "clip"])
    clips = Predictions.from_file(decoded, seed)
    used = parse_networks(networks)
    table = test_order(clips, originals, scored, used, settings, score, seed, str(pick_device(device)))
    write_described_table(out, fixed_digits(table))


if __name__ == "__main__":
    main()
