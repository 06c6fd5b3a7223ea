"""What the encoder is trained on: windows of fMRI beside the embeddings of their clips."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neurocine.errors import InputError
from neurocine.fmri.windows import FmriWindows
from neurocine.io import open_arrays
from neurocine.stimuli.cached import TextStates


def read_embeddings(
    paths: Sequence[Path], movies: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], tuple[int, int]]:
    """Read projected CLIP embeddings of movies, and the shape (L, D) of the text encoder's states.

    Parameters
    ----------
    paths : files of embed_clips
    movies : movies to read

    Returns
    -------
    movie -> (T, K, E) of captions, movie -> (T, F, E) of frames, and (L, D)

    Raises
    ------
    InputError : a movie is in none of the files, or the files were made with different models
    """
    text: dict[str, np.ndarray] = {}
    image: dict[str, np.ndarray] = {}
    shapes: set[tuple[int, ...]] = set()
    for path in paths:
        with open_arrays(path) as handle:
            names = set(handle.keys())
            shapes.add(tuple(handle.get_slice("null_states").get_shape()) if "null_states" in names else ())
            for movie in movies:
                if f"{movie}/text" in names:
                    text[movie] = handle.get_tensor(f"{movie}/text")
                    image[movie] = handle.get_tensor(f"{movie}/image")
    where = ", ".join(map(str, paths)) or "--embeddings"
    missing = [movie for movie in movies if movie not in text]
    if missing:
        raise InputError(
            where, f"movies {', '.join(text)}", f"also {', '.join(missing)}", "Run embed_clips for them."
        )
    if len(shapes) > 1 or len(next(iter(shapes))) != 2:
        raise InputError(where, f"text states {sorted(shapes)}", "one shape (L, D)", "Make the files again.")
    n_tokens, width = next(iter(shapes))
    return text, image, (n_tokens, width)


@dataclasses.dataclass(frozen=True)
class EncoderData:
    """Windows of fMRI and the embeddings of their clips.

    Parameters
    ----------
    windows : of n_clips clips
    text : (n_clips, K, E) f32, projected CLIP text embeddings, K captions per clip
    image : (n_clips, F, E) f32, projected CLIP image embeddings of its frames
    caption_rows : (n_clips, K) i64, their rows in ``text_states``, if tokens are to come near them
    text_states : (n_different, L, D) f32, last hidden states of the text encoder
    """

    windows: FmriWindows
    text: Tensor
    image: Tensor
    caption_rows: Tensor | None = None
    text_states: Tensor | None = None

    @classmethod
    def join(
        cls,
        windows: FmriWindows,
        text: Mapping[str, np.ndarray],
        image: Mapping[str, np.ndarray],
        captions: TextStates | None = None,
    ) -> "EncoderData":
        """Put windows and embeddings together.

        Parameters
        ----------
        windows : of some movies
        text, image : movie -> (T, K, E) and (T, F, E)
        captions : text states of the movies' captions

        Raises
        ------
        InputError : a movie without embeddings, or with another number of clips than TRs
        """
        for movie, n_clips in zip(windows.movies, windows.movie.bincount().tolist(), strict=True):
            counts = len(text.get(movie, ())), len(image.get(movie, ()))
            if counts != (n_clips, n_clips):
                raise InputError(
                    f"embeddings of {movie}",
                    f"{counts[0]} clips with text and {counts[1]} with images",
                    f"{n_clips} clips, one per TR of the fMRI",
                    "Make embed_clips and assemble_train of the same movies.",
                )
        movies = windows.movies
        return cls(
            windows=windows,
            text=torch.cat([torch.from_numpy(np.asarray(text[movie], np.float32)) for movie in movies]),
            image=torch.cat([torch.from_numpy(np.asarray(image[movie], np.float32)) for movie in movies]),
            caption_rows=torch.from_numpy(captions.index.of(movies)) if captions else None,
            text_states=torch.from_numpy(captions.states).float() if captions else None,
        )

    def __len__(self) -> int:
        return len(self.windows)
