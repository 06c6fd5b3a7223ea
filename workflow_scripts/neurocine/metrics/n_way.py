"""N-way top-k identification of classes, exact instead of by repeated random draws, with its chance level.

The rule of the compared papers: a classifier names the true clip's m best classes; n - 1 distractors are
drawn from all other classes; for each of the m classes the *reconstruction's* score of that class is compared
with the same distractors, and the trial succeeds if any of the m is among the k best. The papers' text reads
as m = 1, their code uses m = 3, where a two-way trial succeeds by chance in 75 of 100 cases.

Only r, the number of other classes that score above the best true class, matters: fewer than k of the n - 1
distractors may come from those r, so P = sum over i < k of C(r, i) C(C-m-r, n-1-i) / C(C-m, n-1).
"""

import functools
import math

import numpy as np

from neurocine.errors import InputError


def _check(n_classes: int, n_targets: int, n_way: int, top_k: int) -> None:
    if n_way < 2 or not 1 <= top_k < n_way:
        raise InputError(
            "n_way", f"{n_way}-way top-{top_k}", "n_way >= 2 and 1 <= top_k < n_way", "Correct them."
        )
    if n_targets < 1 or n_classes - n_targets < n_way - 1:
        found = f"{n_classes} classes, {n_targets} of them correct"
        expected = f"at least {n_way - 1} other classes as distractors for {n_way}-way"
        raise InputError("classifier", found, expected, "Lower n_ways or use a classifier with more classes.")


@functools.cache
def success_table(n_classes: int, n_targets: int, n_way: int, top_k: int = 1) -> np.ndarray:
    """Probability of success for each possible number r of other classes above the best true class.

    Returns
    -------
    (n_classes - n_targets + 1,) float64, indexed by r

    Raises
    ------
    InputError : fewer than n_way - 1 distractor classes, top_k out of range
    """
    _check(n_classes, n_targets, n_way, top_k)
    others, draws = n_classes - n_targets, n_way - 1
    # Python's whole numbers do not overflow and their quotient is correctly rounded.
    ways = [
        sum(math.comb(r, i) * math.comb(others - r, draws - i) for i in range(min(top_k, draws + 1)))
        for r in range(others + 1)
    ]
    table = np.array([way / math.comb(others, draws) for way in ways])
    table.flags.writeable = False  # shared by all callers
    return table


def chance_n_way(n_way: int, n_targets: int = 1, top_k: int = 1) -> float:
    """Success rate of exchangeable scores: 1 - C(n-1, k) / C(n-1+m, k); m / (n-1+m) for top-1.

    Among the m true classes and n - 1 distractors in random order a trial fails only if distractors fill the
    first k places. Real scores are not exchangeable (the decoder has favourite classes): see the permutation
    null.
    """
    return 1 - math.comb(n_way - 1, top_k) / math.comb(n_way - 1 + n_targets, top_k)


def target_classes(logits: np.ndarray, n_targets: int) -> np.ndarray:
    """The n_targets classes with the highest logits, best first: (..., C) -> (..., n_targets) int64.

    Of equal logits the class with the lower number comes first.
    """
    left = np.array(logits)
    lowest = -np.inf if left.dtype.kind == "f" else np.iinfo(left.dtype).min
    targets = []
    # A few passes for the best class are ten times as fast as sorting a thousand.
    for _ in range(n_targets):
        targets.append(left.argmax(-1))
        np.put_along_axis(left, targets[-1][..., None], lowest, axis=-1)
    return np.stack(targets, axis=-1)


def best_target_rank(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Number of other classes above the best of the targets: (..., C) and (..., m) -> (...) int64.

    The same as the smallest of ``class_ranks`` at the targets, without ranking all classes.
    """
    own = np.take_along_axis(scores, targets, axis=-1)
    top = own.max(-1, keepdims=True)
    first = np.where(own == top, targets, scores.shape[-1]).min(-1)
    above = np.count_nonzero(scores > top, axis=-1)
    before = np.arange(scores.shape[-1]) < first[..., None]
    return above + np.count_nonzero((scores == top) & before, axis=-1)


def class_ranks(scores: np.ndarray) -> np.ndarray:
    """Number of classes above each class: (..., C) -> (..., C) int64.

    Equal scores are ordered by class number, so that a reconstruction with the same score for all classes
    ends near chance and not at 100 %.
    """
    order = np.argsort(-scores, axis=-1, kind="stable")
    return np.argsort(order, axis=-1, kind="stable")


def exact_n_way(scores: np.ndarray, targets: np.ndarray, n_way: int, top_k: int = 1) -> np.ndarray:
    """Expected N-way top-k accuracy of each clip, without random draws.

    Parameters
    ----------
    scores : (n_clips, C), logits or probabilities of the reconstruction
    targets : (n_clips, m) int, different classes that count as correct (of the true clip)
    n_way : N, classes that compete: a true one and n_way - 1 distractors
    top_k : a trial is won if the true class is among the k most likely

    Returns
    -------
    (n_clips,) float64. Chance is ``chance_n_way``.

    Raises
    ------
    InputError : fewer than n_way - 1 distractor classes
    """
    table = success_table(scores.shape[-1], targets.shape[-1], n_way, top_k)
    # No other true class stands above the best one: its rank counts the other classes only.
    return table[best_target_rank(scores, targets)]


def rank_pairs(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """``best_target_rank`` of every reconstruction for the targets of every true clip.

    Parameters
    ----------
    scores : (n, C)
    targets : (n_true, m) int

    Returns
    -------
    (n, n_true) int64; ``success_table`` at these ranks is the N-way accuracy, for any N and k
    """
    ranks = class_ranks(scores)
    best = ranks[:, targets[:, 0]]
    for column in targets.T[1:]:
        best = np.minimum(best, ranks[:, column])
    return best


def monte_carlo_n_way(
    scores: np.ndarray,
    targets: np.ndarray,
    n_way: int,
    top_k: int,
    repeats: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """N-way top-k accuracy of each clip from random trials, as the papers estimate it (100 repeats).

    Parameters
    ----------
    scores : (n_clips, C)
    targets : (n_clips, m) int
    n_way, top_k : see ``exact_n_way``
    repeats : trials per clip
    generator : draws the distractors

    Returns
    -------
    (n_clips,) float64, share of successful trials
    """
    _check(scores.shape[-1], targets.shape[-1], n_way, top_k)
    result = np.empty(len(scores))
    for clip, (score, target) in enumerate(zip(scores, targets, strict=True)):
        others = np.delete(score, target)
        keys = generator.random((repeats, len(others)))
        drawn = others[np.argpartition(keys, n_way - 2, axis=1)[:, : n_way - 1]]
        result[clip] = np.mean((drawn >= score[target].max()).sum(axis=1) < top_k)
    return result
