"""Train Mind-Animator's structure decoder of one subject."""

from pathlib import Path

from neurocine.cli import program
from neurocine.stimuli.cached import CachedClips
from neurocine.train.animator import read_training, save_decoder
from neurocine.train.structure import TrainStructureSettings, train_structure


@program
def main(
    *,
    fmri: Path,
    latents: list[Path],
    train_movies: list[str],
    variant: str,
    seed: int,
    settings: TrainStructureSettings,
    state: Path,
    out: Path,
    validation: list[str] = [],  # noqa: B006  (never changed; a command line has no other empty list)
    device: str = "auto",
) -> None:
    """Decode the latent of a clip's first frame from fMRI; interrupted, the training is resumed.

    Parameters
    ----------
    fmri : training file of assemble_train
    latents : files of encode_latents that hold the training movies
    train_movies : movies that trainings may see; what was computed from any other is refused
    variant : paper, or code as the released script
    seed : of all random numbers
    settings : section train_structure of the config, as JSON
    state : folder of the resumable state
    out : folder that receives decoder/, log.jsonl and, last, done.json
    validation : movies held out to choose the weights
    device : auto, cpu or cuda
    """
    subject, behind, inputs = read_training(fmri, latents, train_movies)
    trained = train_structure(
        subject,
        CachedClips.read(latents, movies=subject.movies),
        validation,
        variant,
        settings,
        seed,
        state,
        identity=sorted(inputs.values()),
        device=device,
    )
    facts = {"seed": seed, "variant": variant, "inputs": inputs}
    save_decoder(trained, "train_structure", settings, behind, state, out, **facts)


if __name__ == "__main__":
    main()
