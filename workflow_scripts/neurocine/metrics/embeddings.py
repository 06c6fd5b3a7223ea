"""Scores from CLIP's image embeddings of frames: similarity, consistency in time, retrieval.

Published values of these come from different networks: the image score and two of the three "CLIP-pcc" from
CLIP ViT-B/32, the third from ViT-L/14, VIFI from ViFi-CLIP. Values compare only with the same network.
"""

import numpy as np

from neurocine.errors import InputError

VIFI_THRESHOLD = 0.6  # below this similarity of the videos the thresholded CLIP-pcc counts 0


def unit(embeddings: np.ndarray) -> np.ndarray:
    """Scale embeddings (..., E) to length 1, float64; zeros stay zero."""
    values = embeddings.astype(np.float64)
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    return values / np.where(length > 0, length, 1)


def image_score_pairs(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Cosine of frames in the same place, mean over frames: (n, F, E) and (m, F, E) -> (n, m)."""
    return np.einsum("nfe,mfe->nm", unit(predicted), unit(truth), optimize=True) / predicted.shape[1]


def video_embedding(embeddings: np.ndarray) -> np.ndarray:
    """Mean over frames, then length 1, as ViFi-CLIP embeds videos: (n, F, E) -> (n, E) float64."""
    return unit(embeddings.astype(np.float64).mean(axis=1))


def video_score_pairs(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Cosine of the videos' mean embeddings: (n, F, E) and (m, F, E) -> (n, m)."""
    return video_embedding(predicted) @ video_embedding(truth).T


def _consistency(embeddings: np.ndarray) -> np.ndarray:
    if embeddings.shape[1] < 2:
        raise InputError("clip_pcc", "clips of one frame", "two frames or more", "Leave clip_pcc out.")
    return unit(embeddings)


def clip_pcc_adjacent(embeddings: np.ndarray) -> np.ndarray:
    """Mean cosine of neighbouring frames of each clip; a frozen clip has 1: (n, F, E) -> (n,)."""
    frames = _consistency(embeddings)
    return (frames[:, :-1] * frames[:, 1:]).sum(-1).mean(-1)


def clip_pcc_allpairs(embeddings: np.ndarray) -> np.ndarray:
    """Mean cosine of all pairs of frames of each clip; a frozen clip has 1: (n, F, E) -> (n,)."""
    frames = _consistency(embeddings)
    cosines = frames @ frames.transpose(0, 2, 1)
    rows, columns = np.triu_indices(frames.shape[1], k=1)
    return cosines[:, rows, columns].mean(-1)


def thresholded_pairs(consistency: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """Consistency of prediction i, set to 0 where it resembles true clip j by .6 or less.

    Parameters
    ----------
    consistency : (n,), ``clip_pcc_adjacent``
    similarity : (n, m), ``vifi`` of all pairs

    Returns
    -------
    (n, m)
    """
    return np.where(similarity > VIFI_THRESHOLD, consistency[:, None], 0)


def identification_pairs(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Share of the other true clips that resemble each prediction less than the true clip does.

    Two-way identification with all other clips as distractors instead of random ones, which is the true
    clip's percentile rank; equal similarity counts half. Unlike retrieval among the k best it means the same
    for test sets of any size.

    Parameters
    ----------
    predicted, truth : embeddings of frames (n, F, E) and (m, F, E), two true clips or more

    Returns
    -------
    (n, m) float64, chance .5
    """
    from scipy.stats import rankdata  # too slow to load for rules, which read the metrics' declarations

    # Equal clips must tie, although products of equal rows may differ in the last digits.
    similarity = np.round(video_score_pairs(predicted, truth), 9)
    return (rankdata(similarity, axis=1) - 1) / (similarity.shape[1] - 1)


def retrieval_candidates(clips: list[np.ndarray], drop_tr: int) -> list[np.ndarray]:
    """Which clips of the test set compete with each true clip.

    Parameters
    ----------
    clips : per movie, (n,) clip indices, TR
    drop_tr : other clips of the same movie at most this many TR away are dropped; -1 keeps all

    Returns
    -------
    per movie, bool (n, N): for each of its clips the candidates among all N clips, movie after movie; a clip
    is always among its own
    """
    movies = np.concatenate([np.full(len(part), number) for number, part in enumerate(clips)])
    times = np.concatenate(clips)
    candidates = []
    for number, part in enumerate(clips):
        distance = np.abs(times - part[:, None])
        candidates.append((movies != number) | (distance > drop_tr) | (distance == 0))
    return candidates


def retrieval_pairs(
    predicted: np.ndarray, truth: np.ndarray, candidates: np.ndarray, first: int, n: int, top_k: int
) -> np.ndarray:
    """Whether each true clip of a movie is among the k candidates most similar to each prediction.

    Parameters
    ----------
    predicted : (p, E) embeddings of length 1
    truth : (N, E) embeddings of all true clips
    candidates : bool (n, N), see ``retrieval_candidates``
    first, n : the movie's clips are ``truth[first : first + n]``
    top_k : a true clip counts as found among this many candidates

    Returns
    -------
    (p, n) float64, 0 or 1; of equally similar candidates the earlier comes first
    """
    # Equal clips must tie, although products of equal rows may differ in the last digits.
    similarity = np.round(predicted @ truth.T, 9)
    hits = np.empty((len(predicted), n))
    for clip in range(n):
        place = first + clip
        own = similarity[:, place, None]
        ahead = similarity > own
        ahead[:, :place] |= similarity[:, :place] == own
        hits[:, clip] = (ahead & candidates[clip]).sum(1) < top_k
    return hits
