"""Program of the rule train_toy_unet."""

from pathlib import Path

from neurocine.cli import program
from neurocine.io import write_json
from neurocine.models.pretrained import load_text_encoder, load_vae
from neurocine.seeds import seeded_weights
from neurocine.simulate.toy_models.pool import draw_pools
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.simulate.toy_models.unet import ToyUnetTask
from neurocine.train.loop import train

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
    text_encoder, tokenizer = load_text_encoder(stable_diffusion)
    with seeded_weights(seed, "train_toy_unet", "weights"):
        task = ToyUnetTask(*draw_pools(settings, seed), vae, text_encoder, tokenizer)
    train(task, settings, seed, state, state / "log.jsonl", "train_toy_unet")
    task.model.save_pretrained(out / "unet")
    task.scheduler.save_pretrained(out / "scheduler")
    write_json(out / "model_index.json", MODEL_INDEX)


if __name__ == "__main__":
    main()
