"""Clips from captions that a regression chooses: the nearest training caption, then the video prior."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neurocine.diffusion.captions import sample_captions
from neurocine.diffusion.decode import Decoding, Sampler
from neurocine.diffusion.nearest import caption_embeddings
from neurocine.ridge.clips import nearest_clips
from neurocine.stimuli.cached import CachedClips, TextStates


def predict_captions(
    predicted: CachedClips,
    sampler: Sampler,
    text: CachedClips,
    captions: TextStates,
    state: Path | None = None,
    identity: Sequence[str] = (),
) -> Decoding:
    """Decode test movies from the training captions nearest to the predicted text embeddings.

    Parameters
    ----------
    predicted : rows (n, E), text embeddings of all clips of the test movies, of predict_features
    sampler : of the video prior
    text, captions : of the training movies, see `caption_embeddings`
    state, identity : see `sample_captions`

    Raises
    ------
    InputError : see `caption_embeddings`
    """
    places = nearest_clips(predicted.rows, caption_embeddings(text, captions))
    rows = captions.index.rows.reshape(-1)[places].astype(np.int64)
    return sample_captions(sampler, predicted.clips, captions, rows, state, ["predict_captions", *identity])
