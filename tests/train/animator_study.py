"""A small subject for the trainings of Mind-Animator's decoders."""

from typing import Any

import numpy as np

from neurocine.fmri.assemble import SubjectFmri
from neurocine.stimuli.cached import CachedClips

MOVIES = ("seg1", "seg2", "seg3")
TR, VERTICES, FRAMES, SHAPE = 40, 48, 4, (4, 2, 2)
LOOP: dict[str, Any] = {
    "steps": 60, "batch_size": 8, "learning_rate": 3e-3, "validate_every": 20, "patience": 0,
    "log_every": 10, "tensorboard": False, "code_steps": 12,
}  # fmt: skip


def make_study() -> dict[str, Any]:
    """A subject whose fMRI is a linear image of the clips' latents, which drift at a pace of their own."""
    random = np.random.default_rng(0)
    weights, basis = random.normal(size=(6, VERTICES)), random.normal(size=(2, 3, 16)) / 2
    bold, latents = {}, []
    for movie in MOVIES:
        causes = random.normal(size=(TR, 6))
        bold[movie] = (causes @ weights / 2).astype(np.float32)
        first, drift = causes[:, :3] @ basis[0], causes[:, 3:] @ basis[1]
        frames = first[:, None] + 0.3 * np.arange(FRAMES)[:, None] * drift[:, None]
        latents.append(frames.reshape(TR, FRAMES, *SHAPE).astype(np.float16))
    clips = tuple((movie, index) for movie in MOVIES for index in range(TR))
    return {"fmri": SubjectFmri(bold), "latents": CachedClips(clips, np.concatenate(latents))}
