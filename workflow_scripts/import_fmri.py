"""Take the fMRI of one subject from a preprocessed package instead of from runs."""

from pathlib import Path

from neurocine.cli import program
from neurocine.fmri.package import (
    ImportFmriSettings,
    Package,
    PackageLayout,
    import_fmri,
    missing_repeats,
    package_hashes,
)
from neurocine.fmri.preprocess import parse_excluded, vertices_digest
from neurocine.io import file_sha256, write_arrays, write_table
from neurocine.provenance import header


@program
def main(
    *,
    fmri: Path,
    part: str,
    package: PackageLayout,
    settings: ImportFmriSettings,
    out: Path,
    vertices: Path | None = None,
    table: Path | None = None,
    vertex: Path | None = None,
    roi: Path | None = None,
    atlas: Path | None = None,
    excluded: list[str] | None = None,
) -> None:
    """Bring a part of a package into the form in which preprocess_run and select_vertices write a subject.

    Parameters
    ----------
    fmri : of the training or of the test movies, as the package's authors share it
    part : train or test: which of them
    package : kind of the package, its movies, repeats and clips, as JSON
    settings : section import_fmri of the config, as JSON
    out : one array per movie of the part (repeats, samples, vertices); missing repeats are NaN
    vertices : vertices, areas and hemispheres, in the order of the arrays; by default they are not written
    table : the same as a table to read
    vertex : mask or indices that tell where the columns lie; by default they are unknown
    roi : names of the columns' areas, compared with the atlas
    atlas : HCP-MMP 1.0 label file (.dlabel.nii); the installed table by default
    excluded : runs not to use, as movie:repeat
    """
    source = Package({part: fmri}, package, vertex)
    selection, movies = import_fmri(source, part, parse_excluded(excluded or []), settings, roi, atlas)
    # The authors chose the vertices; that no test movie had a part in it is theirs to vouch for.
    behind = sorted({*package.train_movies, *(package.test_movies if part == "test" else ())})
    meta = header(
        "import_fmri",
        settings,
        behind,
        movies=list(movies),
        files=package_hashes(fmri, package),
        excluded=[f"{movie}:{k}" for movie, run in movies.items() for k in missing_repeats(run)],
        vertices=vertices_digest(selection.vertex),
        axes="repeat, sample (TR), vertex",
    )
    meta["settings"]["package"] = package.kind
    write_arrays(out, movies, meta)
    if vertices is not None:
        placed_by = {} if vertex is None else {"files": {vertex.name: file_sha256(vertex)}}
        facts = selection.meta() | placed_by
        write_arrays(vertices, selection.arrays(), header("import_fmri", settings, behind, **facts))
    if table is not None:
        write_table(table, selection.table())


if __name__ == "__main__":
    main()
