"""The toy autoencoder: what it learns, and how its latents are scaled."""

from pathlib import Path

import pytest
import torch

from neurocine.models.pretrained import load_vae
from neurocine.simulate.toy_models.pool import draw_pools
from neurocine.simulate.toy_models.vae import signed_pixels, train_toy_vae
from simulate.quick import QUICK, logged_loss


def test_loss_falls_and_latents_of_training_frames_have_unit_deviation(tmp_path: Path) -> None:
    settings = QUICK.model_copy(update={"steps": 40, "learning_rate": 5e-3})
    train_toy_vae(settings, 5, tmp_path / "state").save_pretrained(tmp_path / "sd/vae")
    losses = logged_loss(tmp_path / "state")
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    vae = load_vae(tmp_path / "sd")
    frames = draw_pools(settings, 5)[0].frames
    with torch.no_grad():
        latents = [vae.encode(signed_pixels(clip)).latent_dist.mode() for clip in frames]
    deviation = float(torch.cat(latents).std())
    assert vae.config["scaling_factor"] * deviation == pytest.approx(1, rel=1e-3)
