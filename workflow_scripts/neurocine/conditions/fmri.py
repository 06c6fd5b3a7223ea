"""What decode makes of fMRI: the result, and controls that are given other fMRI."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from neurocine.conditions.base import Condition
from neurocine.errors import InputError
from neurocine.naming import Clip

if TYPE_CHECKING:  # rules import this for their names alone
    import numpy as np

FAR_TR = 15  # TR, least distance of a shuffled window from its clip; a quarter of a shorter movie


def shift_within_movies(bold: Mapping[str, "np.ndarray"], shift: int) -> dict[str, "np.ndarray"]:
    """Rotate each movie's fMRI in time, so that it keeps its statistics but belongs to other clips.

    Parameters
    ----------
    bold : movies, each (T, V)
    shift : TR; sample t moves to t + shift, and past the end to the start

    Raises
    ------
    InputError : the shift is a whole number of a movie's lengths and would change nothing
    """
    import numpy as np

    for movie, samples in bold.items():
        if shift % len(samples) == 0:
            raise InputError(
                "shift_tr",
                f"{shift}, which moves the {len(samples)} TR of {movie} onto themselves",
                "a shift that is no multiple of a movie's length",
                "Change shift_tr of decode.",
            )
    return {movie: np.roll(samples, shift, axis=0) for movie, samples in bold.items()}


def far_permutation(n: int, distance: int, generator: "np.random.Generator") -> "np.ndarray":
    """Draw an order of n things in which each is at least ``distance`` from its place, (n,) i64.

    Raises
    ------
    InputError : there is none, or none was found in many draws
    """
    import numpy as np

    order = generator.permutation(n)
    places = np.arange(n)
    for _ in range(1000):
        near = np.flatnonzero(np.abs(order - places) < distance)
        if not len(near):
            return order
        for place in near:
            other = generator.integers(n)
            order[[place, other]] = order[[other, place]]
    raise InputError(
        "a movie", f"{n} clips", f"an order that moves each by {distance}", "Remove shuffled from conditions."
    )


def shuffled_rows(clips: Sequence[Clip], seed: int) -> "np.ndarray":
    """Give every clip the row of another one of its movie, far away in time: (n_clips,) i64.

    Whole windows are exchanged, so each is a possible piece of fMRI, and each is used once.
    """
    import numpy as np

    from neurocine.seeds import numpy_generator

    rows = np.arange(len(clips))
    for movie in dict.fromkeys(name for name, _ in clips):
        here = np.flatnonzero([name == movie for name, _ in clips])
        generator = numpy_generator(seed, "decode", "shuffled", movie)
        rows[here] = here[far_permutation(len(here), max(1, min(FAR_TR, len(here) // 4)), generator)]
    return rows


def shifted_fmri(
    test: Mapping[str, "np.ndarray"], training: Mapping[str, "np.ndarray"], shift: int, seed: int
) -> dict[str, "np.ndarray"]:
    """Rotate the test movies in time, see `shift_within_movies`; arrays (T, V)."""
    return shift_within_movies(test, shift)


def mean_fmri(
    test: Mapping[str, "np.ndarray"], training: Mapping[str, "np.ndarray"], shift: int, seed: int
) -> dict[str, "np.ndarray"]:
    """Give every clip the mean over the training movies; arrays (T, V)."""
    import numpy as np

    from neurocine.fmri.assemble import training_statistics

    mean, _ = training_statistics(list(training.values()))
    return {movie: np.repeat(mean[None], len(samples), axis=0) for movie, samples in test.items()}


def noise_fmri(
    test: Mapping[str, "np.ndarray"], training: Mapping[str, "np.ndarray"], shift: int, seed: int
) -> dict[str, "np.ndarray"]:
    """Draw white noise with the mean and the size of the training movies; arrays (T, V)."""
    import numpy as np

    from neurocine.fmri.assemble import training_statistics
    from neurocine.seeds import numpy_generator

    _, std = training_statistics(list(training.values()))
    noise = mean_fmri(test, training, shift, seed)
    for movie, samples in noise.items():
        generator = numpy_generator(seed, "decode", "noise", movie)
        samples += std * generator.standard_normal(samples.shape, dtype=np.float32)
    return noise


CONDITIONS = (
    Condition("fmri", "result", "decode", "decoded from fMRI", "the result", default=True, recorded=True),
    Condition(
        "shifted",
        "control",
        "decode",
        "fMRI of another time of the movie",
        "what the generator scores without the right fMRI",
        default=True,
        fmri=shifted_fmri,
        recorded=True,
    ),
    Condition(
        "shuffled",
        "control",
        "decode",
        "fMRI windows in random order, each at least 15 TR from its place",
        "as above, without one shift for all",
        exchanged=shuffled_rows,
        recorded=True,
    ),
    Condition(
        "mean",
        "control",
        "decode",
        "the mean training fMRI",
        "what the generator makes without information; guidance away from this mean has no effect",
        fmri=mean_fmri,
    ),
    Condition(
        "noise",
        "control",
        "decode",
        "white noise of the size of fMRI",
        "what the generator makes without information from fMRI",
        fmri=noise_fmri,
    ),
)
