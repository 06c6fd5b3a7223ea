"""Train Mind-Animator's motion generator of one subject."""

from pathlib import Path

from neurocine.cli import program
from neurocine.errors import InputError
from neurocine.models.structure import StructureDecoder
from neurocine.stimuli.cached import CachedClips
from neurocine.train.animator import read_training, save_decoder
from neurocine.train.motion import TrainMotionSettings, train_motion


@program
def main(
    *,
    fmri: Path,
    latents: list[Path],
    structure: Path,
    train_movies: list[str],
    variant: str,
    memory_tokens: int,
    motion_from: str,
    seed: int,
    settings: TrainMotionSettings,
    state: Path,
    out: Path,
    validation: list[str] = [],  # noqa: B006  (never changed; a command line has no other empty list)
    device: str = "auto",
) -> None:
    """Generate the latents of all frames from the first and from fMRI; interrupted, the training is resumed.

    Parameters
    ----------
    fmri : training file of assemble_train
    latents : files of encode_latents that hold the training movies
    structure : folder decoder/ of train_structure, whose first frames the validation starts from
    train_movies : movies that trainings may see; what was computed from any other is refused
    variant : paper, or code as the released script
    memory_tokens : tokens that the fMRI becomes; 1 as published
    motion_from : fmri, or frame for the control that sees no fMRI
    seed : of all random numbers
    settings : section train_motion of the config, as JSON
    state : folder of the resumable state
    out : folder that receives decoder/, log.jsonl and, last, done.json
    validation : movies held out to choose the weights
    device : auto, cpu or cuda
    """
    if motion_from not in ("fmri", "frame"):
        raise InputError("--motion-from", motion_from, "fmri or frame", "Choose one of them.")
    weights = structure / "model.safetensors"
    subject, behind, inputs = read_training(fmri, [*latents, weights], train_movies)
    trained = train_motion(
        subject,
        CachedClips.read(latents, movies=subject.movies),
        StructureDecoder.from_pretrained(structure),
        validation,
        variant,
        memory_tokens,
        motion_from == "fmri",
        settings,
        seed,
        state,
        identity=sorted(inputs.values()),
        device=device,
    )
    facts = {"seed": seed, "variant": variant, "inputs": inputs}
    facts |= {"memory_tokens": memory_tokens, "motion_from": motion_from}
    save_decoder(trained, "train_motion", settings, behind, state, out, **facts)


if __name__ == "__main__":
    main()
