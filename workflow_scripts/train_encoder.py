"""Train the fMRI encoder of one subject against captions and frames (phase 1)."""

import dataclasses
from pathlib import Path

from neurocine.cli import program
from neurocine.fmri.assemble import SubjectFmri
from neurocine.io import file_sha256
from neurocine.provenance import header, refuse_leaks, stamp_weights
from neurocine.stimuli.cached import TextStates
from neurocine.train.checkpoint import finish_training
from neurocine.train.encoder import EncoderExperiment, TrainEncoderSettings, make_encoder, train_encoder
from neurocine.train.encoder_data import read_embeddings
from neurocine.train.loop import is_main_process


@program
def main(
    *,
    fmri: Path,
    embeddings: list[Path],
    train_movies: list[str],
    settings: TrainEncoderSettings,
    experiment: EncoderExperiment,
    seed: int,
    state: Path,
    out: Path,
    validation: list[str] = [],  # noqa: B006  (never changed; a command line has no other empty list)
    pretrained: Path | None = None,
    permutation: int = 0,
    device: str = "auto",
) -> None:
    """Train the fMRI encoder of one subject against captions and frames; interrupted, it goes on later.

    Parameters
    ----------
    fmri : training file of assemble_train
    embeddings : files of embed_clips of all training movies
    train_movies : movies that trainings may see; what was computed from any other is refused
    settings : section train_encoder of the config
    experiment : one row of the config's experiments: augmentation, its weights, and what it has in place of
        ``settings``
    seed : of all random numbers
    state : directory to go on from after an interruption (exit code 75), kept outside the results
    out : results directory: encoder/, log.jsonl, tensorboard/, done.json
    validation : movies held out to choose the weights
    pretrained : directory of a pretrained encoder; without it, training starts from random weights
    permutation : n trains the n-th null encoder, on each movie's fMRI rotated in time; 0 trains as usual
    device : auto, cpu or cuda
    """
    settings = experiment.choose(settings)
    weights = [] if pretrained is None else [pretrained / "model.safetensors"]
    behind = refuse_leaks([fmri, *embeddings, *weights], train_movies)
    subject = SubjectFmri.read(fmri)
    null = {"permutation": permutation} if permutation else {}
    if permutation:
        subject = subject.at_other_times(seed, permutation)
    text, image, state_shape = read_embeddings(embeddings, subject.movies)
    width = next(iter(text.values())).shape[-1]
    text_states = TextStates.read(embeddings, subject.movies) if settings.state_weight else None
    encoder = make_encoder(settings, subject.n_vertices, state_shape, width, pretrained, seed)
    inputs = {str(path): file_sha256(path) for path in [fmri, *embeddings]}
    if pretrained is not None:
        inputs[str(pretrained)] = file_sha256(pretrained / "model.safetensors")
    report = train_encoder(
        encoder, subject, text, image, validation, experiment, settings, seed, state,
        text_states=text_states, identity=[*sorted(inputs.values()), *null.items()], device=device,
    )  # fmt: skip
    if is_main_process():
        encoder.save_pretrained(out / "encoder")
        stamp_weights(out / "encoder", behind, "train_encoder")
        facts = {"seed": seed, "inputs": inputs, "experiment": experiment.model_dump()} | null
        facts["report"] = dataclasses.asdict(report)
        finish_training(state, out, header("train_encoder", settings, behind, **facts))


if __name__ == "__main__":
    main()
