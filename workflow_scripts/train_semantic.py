"""Train Mind-Animator's semantic decoder of one subject."""

from pathlib import Path

from neurocine.cli import program
from neurocine.stimuli.cached import TextStates
from neurocine.stimuli.variants import Variants
from neurocine.train.animator import read_training, save_decoder
from neurocine.train.semantic import TrainSemanticSettings, train_semantic


@program
def main(
    *,
    fmri: Path,
    embeddings: list[Path],
    variants: list[Path],
    train_movies: list[str],
    variant: str,
    seed: int,
    settings: TrainSemanticSettings,
    state: Path,
    out: Path,
    validation: list[str] = [],  # noqa: B006  (never changed; a command line has no other empty list)
    device: str = "auto",
) -> None:
    """Decode a CLIP embedding and text states from fMRI; interrupted, the training is resumed.

    Parameters
    ----------
    fmri : training file of assemble_train
    embeddings : files of embed_clips of all training movies
    variants : files of embed_variants of all training movies
    train_movies : movies that trainings may see; what was computed from any other is refused
    variant : paper, or code as the released script
    seed : of all random numbers
    settings : section train_semantic of the config, as JSON
    state : folder of the resumable state
    out : folder that receives decoder/, log.jsonl and, last, done.json
    validation : movies held out to choose the weights
    device : auto, cpu or cuda
    """
    subject, behind, inputs = read_training(fmri, [*embeddings, *variants], train_movies)
    trained = train_semantic(
        subject,
        embeddings,
        TextStates.read(embeddings, subject.movies),
        Variants.read(variants, subject.movies),
        validation,
        variant,
        settings,
        seed,
        state,
        identity=sorted(inputs.values()),
        device=device,
    )
    facts = {"seed": seed, "variant": variant, "inputs": inputs}
    save_decoder(trained, "train_semantic", settings, behind, state, out, **facts)


if __name__ == "__main__":
    main()
