"""Train the toy CLIP."""

from pathlib import Path

from neurocine.cli import program
from neurocine.simulate.toy_models.clip import train_toy_clip
from neurocine.simulate.toy_models.settings import ToyModelSettings


@program
def main(*, settings: ToyModelSettings, seed: int, state: Path, out: Path, out_diffusion: Path) -> None:
    """Train the toy CLIP; its text tower is the text encoder of the toy Stable Diffusion.

    Parameters
    ----------
    settings : section train_toy_clip of the config, as JSON
    seed : of all draws
    state : folder of the resumable state
    out : folder of the CLIP model
    out_diffusion : folder of the Stable Diffusion model; text_encoder/ and tokenizer/ are written there
    """
    trained = train_toy_clip(settings, seed, state)
    for part in (trained.model, trained.tokenizer, trained.processor):
        part.save_pretrained(out)
    trained.text_encoder.save_pretrained(out_diffusion / "text_encoder")
    trained.tokenizer.save_pretrained(out_diffusion / "tokenizer")


if __name__ == "__main__":
    main()
