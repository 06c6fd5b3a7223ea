"""Pretrain the fMRI encoder on unlabelled samples (phase 0)."""

import dataclasses
from pathlib import Path

from neurocine.cli import program
from neurocine.io import file_sha256
from neurocine.provenance import header, refuse_leaks, stamp_weights
from neurocine.train.checkpoint import finish_training
from neurocine.train.loop import is_main_process
from neurocine.train.pretrain import PretrainEncoderSettings, pretrain_encoder
from neurocine.train.shards import Shards


@program
def main(
    *,
    shards: list[Path],
    train_movies: list[str],
    settings: PretrainEncoderSettings,
    seed: int,
    state: Path,
    out: Path,
    device: str = "auto",
) -> None:
    """Pretrain the fMRI encoder as a masked autoencoder with two contrasts; interrupted, it goes on later.

    Parameters
    ----------
    shards : files of preprocess_hcp, or training files of assemble_train
    train_movies : movies that trainings may see; what was computed from any other is refused
    settings : section pretrain_encoder of the config
    seed : of all random numbers
    state : directory to go on from after an interruption (exit code 75), kept outside the results
    out : results directory: encoder/, log.jsonl, tensorboard/, done.json
    device : auto, cpu or cuda
    """
    behind = refuse_leaks(shards, train_movies)
    data = Shards(shards, settings.shards_in_memory)
    inputs = {str(path): file_sha256(path) for path in shards}  # files of several subjects share their names
    encoder, report = pretrain_encoder(
        data, settings, seed, state, identity=sorted(inputs.values()), device=device
    )
    if is_main_process():
        encoder.save_pretrained(out / "encoder")
        stamp_weights(out / "encoder", behind, "pretrain_encoder")
        facts = {"seed": seed, "inputs": inputs, "report": dataclasses.asdict(report)}
        finish_training(state, out, header("pretrain_encoder", settings, behind, **facts))


if __name__ == "__main__":
    main()
