"""The decoder of phase 2b: an fMRI encoder whose output conditions a video UNet, as one module."""

from pathlib import Path

from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from torch import Tensor, nn

from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.models.video_unet import VideoUNet


class JointDecoder(nn.Module):
    """Predict the noise of latents from windows of fMRI; called like the UNet, with windows for states.

    Parameters
    ----------
    unet : video UNet, usually the video prior of phase 2a
    encoder : (B, w, V) windows to (B, L, D) states

    Source: NeuroCine (arXiv 2402.01590) section 3.3, phase 2.
    """

    def __init__(self, unet: VideoUNet, encoder: FmriEncoder) -> None:
        super().__init__()
        self.unet, self.encoder = unet, encoder

    def forward(
        self, sample: Tensor, timestep: Tensor | float, windows: Tensor, return_dict: bool = True
    ) -> UNet2DConditionOutput | tuple[Tensor]:
        """Encode windows (B, w, V) and denoise latents (B, C, F, h, w)."""
        return self.unet(sample, timestep, self.encoder(windows), return_dict=return_dict)

    def save_pretrained(self, folder: Path) -> None:
        """Write ``unet/`` and ``encoder/`` into the folder."""
        self.unet.save_pretrained(folder / "unet")
        self.encoder.save_pretrained(folder / "encoder")

    @classmethod
    def from_pretrained(cls, folder: Path) -> "JointDecoder":
        """Read ``unet/`` and ``encoder/`` of the folder."""
        return cls(
            VideoUNet.from_pretrained(folder / "unet"), FmriEncoder.from_pretrained(folder / "encoder")
        )
