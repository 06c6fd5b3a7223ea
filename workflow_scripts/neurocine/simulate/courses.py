"""How slowly scores of neighbouring clips may change: processes on which statistics are calibrated."""

from collections.abc import Callable

import numpy as np


def _scenes(random: np.random.Generator, shape: tuple[int, int], shortest: int, longest: int) -> np.ndarray:
    """Values that stay for ``shortest`` to ``longest`` TR and change at once: (T, k)."""
    lengths = random.integers(shortest, longest + 1, shape[0] // shortest + 1)
    which = np.repeat(np.arange(len(lengths)), lengths)[: shape[0]]
    return random.normal(size=(len(lengths), shape[1]))[which]


def _autoregressive(random: np.random.Generator, shape: tuple[int, int], time: float) -> np.ndarray:
    """Values whose correlation falls to 1/e in ``time`` TR: (T, k) of variance 1."""
    keep = np.exp(-1 / time)
    values = random.normal(size=shape)
    values[1:] *= np.sqrt(1 - keep**2)
    for row in range(1, len(values)):
        values[row] += keep * values[row - 1]
    return values


# Kind -> values (T, k) of T TR. Movies cut from short clips hold scenes, told stories chapters as well.
COURSES: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "independent": lambda random, shape: random.normal(size=shape),
    "scenes": lambda random, shape: _scenes(random, shape, 2, 6),
    "long scenes": lambda random, shape: _scenes(random, shape, 5, 15),
    "minutes": lambda random, shape: _autoregressive(random, shape, 20),
    "chapters": lambda random, shape: _scenes(random, shape, 30, 60),
    "scenes and chapters": lambda random, shape: (
        _scenes(random, shape, 2, 6) + _scenes(random, shape, 30, 60)
    ),
    "walk": lambda random, shape: random.normal(size=shape).cumsum(axis=0),
}


def unmatched_pairs(random: np.random.Generator, n_tr: int, kind: str, match: float = 0.0) -> np.ndarray:
    """Cosines of what is decoded with what is on screen, of 8 features that have nothing to do with it.

    Parameters
    ----------
    random : draws both courses
    n_tr : T, length of the movie
    kind : one of ``COURSES``, of both sides; decoding smooths over 3 TR
    match : how much of what is on screen is in what is decoded

    Returns
    -------
    (T, T) float64, prediction i with truth j
    """
    shown, decoded = (COURSES[kind](random, (n_tr, 8)) for _ in range(2))
    decoded = decoded + match * shown
    around = np.concatenate([decoded[:1], decoded, decoded[-1:]])
    decoded = around[:-2] + around[1:-1] + around[2:]
    unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (decoded, shown)]
    return np.asarray(unit[0] @ unit[1].T)
