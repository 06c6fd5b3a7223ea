"""Train the UNet of the toy Stable Diffusion."""

from pathlib import Path

from neurocine.cli import program
from neurocine.io import write_json
from neurocine.models.pretrained import load_text_encoder, load_vae
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.simulate.toy_models.unet import train_toy_unet

MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


@program
def main(*, stable_diffusion: Path, settings: ToyModelSettings, seed: int, state: Path, out: Path) -> None:
    """Train the UNet of the toy Stable Diffusion.

    Parameters
    ----------
    stable_diffusion : folder with the trained vae/, text_encoder/ and tokenizer/
    settings : section train_toy_unet of the config, as JSON
    seed : of all draws
    state : folder of the resumable state
    out : folder of the Stable Diffusion model; unet/, scheduler/ and model_index.json are written there
    """
    vae = load_vae(stable_diffusion)
    unet, scheduler = train_toy_unet(vae, *load_text_encoder(stable_diffusion), settings, seed, state)
    unet.save_pretrained(out / "unet")
    scheduler.save_pretrained(out / "scheduler")
    write_json(out / "model_index.json", MODEL_INDEX)


if __name__ == "__main__":
    main()
