"""The keys of an experiment, one class per method, next to the study's keys in `neurocine.config_keys`."""

from typing import Annotated, Literal

from neurocine.animator.reconstruct import ReconstructExperiment
from neurocine.settings import Count, Settings, Share, Unit
from neurocine.train.encoder import EncoderExperiment


class Experiment(EncoderExperiment):
    """One row of the ablation."""

    method: Literal["neurocine"] = "neurocine"
    """The experiment is decoded by this method, which decides what the other keys of the row are."""
    sc_frames: Literal["prev2", "first_prev", "own"] | None = None
    """Self-attention of this experiment sees these frames; null takes those of train_video_prior."""
    sc_include_self: bool | None = None
    """Self-attention of this experiment sees its own frame too, or not; null does as train_video_prior."""
    temporal_position: Literal["after_self", "block_end"] | None = None
    """Temporal attention of this experiment stands here; null takes the place of train_video_prior."""
    noise_ratio: Share = 0.75
    """The frames of a clip share this fraction of the noise's variance (beta); 0 is independent noise, 1 the
    same noise in all frames.
    """


class AnimatorExperiment(ReconstructExperiment):
    """One row of Mind-Animator."""

    method: Literal["mind_animator"]
    """The experiment is decoded by this method, which decides what the other keys of the row are."""
    memory_tokens: Annotated[Count, Unit("tokens")] = 1
    """The fMRI becomes this many tokens in the motion generator."""
    motion_from: Literal["fmri", "frame"] = "fmri"
    """The motion generator sees fMRI and the first frame, or the first frame alone (frame, a control)."""


class RidgeExperiment(Settings):
    """One row of ridge regression."""

    method: Literal["ridge"]
    """The experiment is decoded by this method, which decides what the other keys of the row are."""
    target: Literal["clip", "latents", "caption"] = "latents"
    """Show the training clip with the nearest embedding (clip), or decode predicted latents by the VAE.

    With caption, the video prior samples clips from the training caption with the nearest embedding.
    """
    noise_ratio: Share = 0.75
    """Frames share this fraction of the noise in training the video prior; read where target is caption."""
