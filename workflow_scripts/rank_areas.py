"""Rank the areas that a method decodes from, by what it loses without each of them."""

from pathlib import Path

from neurocine.cli import program
from neurocine.columns import write_described_table
from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.fmri.vertices import VertexSelection
from neurocine.io import fixed_digits, read_table, write_arrays
from neurocine.metrics.settings import ScoreSettings
from neurocine.models.pretrained import pick_device
from neurocine.provenance import header, movies_behind, refuse_overlap
from neurocine.surface.probes import read_probe
from neurocine.surface.rank_areas import RankAreasSettings, rank_areas, spaced_clips


def read_captions(paths: list[Path], movies: list[str]) -> dict[str, list[list[str]]]:
    """Read the captions of each clip of movies from tables of caption_clips."""
    by_movie: dict[str, list[list[str]]] = {movie: [] for movie in movies}
    for path in paths:
        for row in read_table(path, ["movie", "clip", "caption"]).to_dict("records"):
            clips = by_movie.get(str(row["movie"]))
            if clips is not None:
                clips += [[] for _ in range(int(row["clip"]) + 1 - len(clips))]
                clips[int(row["clip"])].append(str(row["caption"]))
    return by_movie


def named_folders(words: list[str]) -> list[dict[str, Path]]:
    """Read folders given as ``name=folder``, one group each time that a name comes again."""
    groups: list[dict[str, Path]] = [{}]
    for name, _, folder in (word.partition("=") for word in words):
        if name in groups[-1]:
            groups.append({})
        groups[-1][name] = Path(folder)
    return [group for group in groups if group]


@program
def main(
    *,
    method: str,
    networks: list[str],
    fmri_train: Path,
    fmri_test: Path,
    embeddings: list[Path],
    latents: list[Path],
    captions: list[Path],
    vertices: Path,
    every: int,
    seed: int,
    settings: RankAreasSettings,
    score: ScoreSettings,
    out: Path,
    maps: Path,
    noise_ceiling: Path | None = None,
    permuted: list[str] = [],  # noqa: B006  (never changed; a command line has no other empty list)
    device: str = "auto",
) -> None:
    """Occlude each area of the fMRI, and compare what a method loses with nulls.

    Parameters
    ----------
    method : name of the method
    networks : its networks that read fMRI, name=folder each
    fmri_train, fmri_test : files of assemble_train and assemble_test
    embeddings, latents, captions : files of embed_clips, encode_latents and caption_clips of the test movies
    vertices : file of select_vertices or import_fmri
    every : clips that are decoded, each so many TR
    seed : of the study
    settings : section rank_areas of the config, as JSON
    score : section score of the config, as JSON, for null and intervals
    out : table (TSV): a row per decoder, kind, measure and region
    maps : values of areas on the cortical vertices or the voxels of the grid
    noise_ceiling : table of measure_noise_ceiling
    permuted : the same networks trained on fMRI of other times, likewise, one set after the other
    device : auto, cpu or cuda
    """
    bold = SubjectFmri.read(fmri_test, with_repeats=False).bold
    refuse_overlap(fmri_train, bold)
    training = SubjectFmri.read(fmri_train, with_repeats=False).bold
    selection = VertexSelection.read(vertices, needs_places=True)
    rows = spaced_clips(bold, every, settings.clips_per_movie)
    spoken = read_captions(captions, list(bold))
    for movie, samples in bold.items():
        if len(spoken[movie]) != len(samples):
            found, expected = f"captions of {len(spoken[movie])} clips", f"{len(samples)}, as fMRI"
            raise InputError(f"captions of {movie}", found, expected, "Caption the clips again.")
    where = pick_device(device)
    folders = [*named_folders(networks), *named_folders(permuted)]
    probes = [
        read_probe(method, each, rows, embeddings, latents, settings.batch_size, where) for each in folders
    ]
    ceilings = {}
    if noise_ceiling is not None:
        table = read_table(noise_ceiling, ["group", "area", "ceiling_mean"])
        ceilings = {(r["group"], r["area"]): float(r["ceiling_mean"]) for r in table.to_dict("records")}
    result = rank_areas(
        probes[0], rows, bold, training, spoken, selection, ceilings, score, settings, seed, probes[1:]
    )
    weights = [folder / "model.safetensors" for each in folders for folder in each.values()]
    behind = movies_behind([*weights, fmri_train, fmri_test, *embeddings, *latents, vertices])
    facts = {"seed": seed, "method": method, "losses": list(probes[0].losses), "contrasts": result.contrasts}
    if selection.grid is not None:
        facts["grid"] = selection.grid.meta()
    write_arrays(maps, result.maps, header("rank_areas", settings, behind, **facts))
    # Errors of latents differ by little: six digits, not six decimals.
    small = {name: result.table[name].map("{:.6g}".format) for name in ("value", "ci_low", "ci_high")}
    small |= {name: result.table[name].map("{:.6g}".format) for name in ("null_mean", "spin_mean")}
    write_described_table(out, fixed_digits(result.table.assign(**small)))


if __name__ == "__main__":
    main()
