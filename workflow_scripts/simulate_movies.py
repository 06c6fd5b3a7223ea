"""Write the movies that simulated subjects watch, and the script of each."""

from pathlib import Path

from neurocine.cli import program, progress
from neurocine.io import write_table
from neurocine.simulate.movies import SimulateMoviesSettings, simulate_movies


@program
def main(
    *,
    train_movies: list[str],
    seed: int,
    settings: SimulateMoviesSettings,
    out: list[Path],
    scripts: list[Path],
) -> None:
    """Write the movies that simulated subjects watch, and the script of each.

    Parameters
    ----------
    train_movies : names of the movies that must not show held-out combinations
    seed : of all draws
    settings : section simulate_movies of the config, as JSON
    out : movies to write, one mp4 each; the file's name is the movie's
    scripts : tables to write, in the same order
    """
    pairs = list(zip(out, scripts, strict=True))
    tables = simulate_movies([path for path, _ in pairs], train_movies, settings, seed)
    for (_, script), table in zip(progress(pairs, len(pairs), "movies"), tables, strict=True):
        write_table(script, table)


if __name__ == "__main__":
    main()
