"""What phase 1 is trained on: windows of fMRI, and the embeddings and text states of their clips."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from neurocine.errors import InputError
from neurocine.fmri.windows import FmriWindows
from neurocine.stimuli.cached import TextStates


@dataclasses.dataclass(frozen=True)
class EncoderData:
    """Windows of fMRI and the embeddings of their clips.

    Parameters
    ----------
    windows : of n_clips clips
    text : (n_clips, K, E) f32, projected CLIP text embeddings, K captions per clip
    image : (n_clips, F, E) f32, projected CLIP image embeddings of its frames
    state : (n_clips, K) i64, rows of the captions in ``states``, if the tokens are to come near them
    states : (n_states, L, D) f32, last hidden states of the text encoder
    """

    windows: FmriWindows
    text: Tensor
    image: Tensor
    state: Tensor | None = None
    states: Tensor | None = None

    @classmethod
    def join(
        cls,
        windows: FmriWindows,
        text: Mapping[str, np.ndarray],
        image: Mapping[str, np.ndarray],
        states: TextStates | None = None,
    ) -> "EncoderData":
        """Put windows and embeddings together.

        Parameters
        ----------
        windows : of some movies
        text, image : movie -> (T, K, E) and (T, F, E)
        states : text states of the movies' captions

        Raises
        ------
        InputError : a movie without embeddings, or with another number of clips than TRs
        """
        for movie, n_clips in zip(windows.movies, windows.movie.bincount().tolist(), strict=True):
            found = len(text.get(movie, ())), len(image.get(movie, ()))
            if found != (n_clips, n_clips):
                raise InputError(
                    f"embeddings of {movie}",
                    f"{found[0]} clips with text and {found[1]} with images",
                    f"{n_clips} clips, one per TR of the fMRI",
                    "Make embed_clips and assemble_subject of the same movies.",
                )
        movies = windows.movies
        return cls(
            windows=windows,
            text=torch.cat([torch.from_numpy(np.asarray(text[movie], np.float32)) for movie in movies]),
            image=torch.cat([torch.from_numpy(np.asarray(image[movie], np.float32)) for movie in movies]),
            state=torch.from_numpy(states.index.of(movies)) if states else None,
            states=torch.from_numpy(states.states).float() if states else None,
        )

    def __len__(self) -> int:
        return len(self.windows)
