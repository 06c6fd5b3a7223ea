"""Decode fMRI by way of a caption: the encoder's embedding, the nearest training caption, the video prior.

It uses all that phase 1 learned and nothing that phase 2b does, so what the joint training adds shows in
comparison.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from neurocine.diffusion.captions import sample_captions
from neurocine.diffusion.decode import Decoding, Sampler
from neurocine.errors import InputError
from neurocine.fmri.windows import FmriWindows
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.stimuli.cached import CachedClips, TextStates

WINDOWS = 64  # of fMRI, that the encoder sees per pass


def caption_embeddings(text: CachedClips, captions: TextStates) -> np.ndarray:
    """Return the text embeddings of all training captions, in the order of ``captions.index.rows``.

    Parameters
    ----------
    text : rows (m_clips, K, E), CLIP text embeddings of the training captions
    captions : of the same training clips

    Returns
    -------
    (m_clips K, E) float32

    Raises
    ------
    InputError : embeddings and text states are of different clips
    """
    if text.clips != captions.index.clips or text.rows.shape[:2] != captions.index.rows.shape:
        found = f"text embeddings {text.rows.shape[:2]} and text states {captions.index.rows.shape}"
        todo = "Make embed_clips again."
        raise InputError("embeddings", found, "as many captions of the same clips", todo)
    return np.asarray(text.rows, np.float32).reshape(-1, text.rows.shape[-1])


def nearest_captions(
    encoder: FmriEncoder, windows: FmriWindows, text: CachedClips, captions: TextStates
) -> np.ndarray:
    """Find the training caption with the nearest embedding to that of each window.

    Parameters
    ----------
    encoder : of train_encoder, on its device
    windows : of n_clips clips of test movies
    text, captions : of the training movies, see `caption_embeddings`

    Returns
    -------
    (n_clips,) i64, rows of ``captions.states``

    Raises
    ------
    InputError : see `caption_embeddings`
    """
    candidates = F.normalize(torch.from_numpy(caption_embeddings(text, captions)), dim=-1)
    places = []
    for clips in torch.arange(len(windows)).split(WINDOWS):
        with torch.no_grad():
            predicted = encoder.embedding(encoder(windows.take(clips).to(encoder.pos_embed.device)))
        places.append((F.normalize(predicted.float().cpu(), dim=-1) @ candidates.T).argmax(dim=1))
    return captions.index.rows.reshape(-1)[torch.cat(places).numpy()].astype(np.int64)


def decode_nearest(
    encoder: FmriEncoder,
    sampler: Sampler,
    test: Mapping[str, np.ndarray],
    text: CachedClips,
    captions: TextStates,
    state: Path | None = None,
    identity: Sequence[str] = (),
) -> Decoding:
    """Decode test movies from the training captions nearest to what the encoder makes of their fMRI.

    Parameters
    ----------
    encoder : of train_encoder, on its device
    sampler : of the video prior
    test : movie -> (T, V) standardised fMRI
    text, captions : of the training movies, see `caption_embeddings`
    state, identity : see `sample_captions`

    Raises
    ------
    InputError : see `caption_embeddings`
    """
    windows = FmriWindows.of_means(test, encoder.config.window)
    rows = nearest_captions(encoder, windows, text, captions)
    return sample_captions(sampler, windows.clips, captions, rows, state, ["nearest_caption", *identity])
