"""Take the fMRI of one subject from a preprocessed package instead of from runs."""

from pathlib import Path

from neurocine.cli import program
from neurocine.fmri.package import (
    ImportFmriSettings,
    Package,
    PackageLayout,
    import_fmri,
    missing_repeats,
)
from neurocine.fmri.preprocess import parse_excluded, vertices_digest
from neurocine.io import file_sha256, write_arrays, write_table
from neurocine.provenance import header


@program
def main(
    *,
    train: Path,
    test: Path,
    package: PackageLayout,
    settings: ImportFmriSettings,
    out_train: Path,
    out_test: Path,
    vertices: Path,
    table: Path,
    vertex: Path | None = None,
    roi: Path | None = None,
    atlas: Path | None = None,
    excluded: list[str] | None = None,
) -> None:
    """Bring a package into the form in which preprocess_run and select_vertices write a subject.

    Parameters
    ----------
    train : fMRI of the training movies, as the package's authors share it
    test : fMRI of the test movies
    package : kind of the package, its movies, repeats and clips, as JSON
    settings : section import_fmri of the config, as JSON
    out_train : one array per training movie (repeats, samples, vertices); missing repeats are NaN
    out_test : the same of the test movies
    vertices : vertices, areas and hemispheres, in the order of the arrays
    table : the same as a table to read
    vertex : mask or indices that tell where the columns lie; by default they are unknown
    roi : names of the columns' areas, compared with the atlas
    atlas : HCP-MMP 1.0 label file (.dlabel.nii); the installed table by default
    excluded : runs not to use, as movie:repeat
    """
    source = Package(train, test, package, vertex)
    imported = import_fmri(source, parse_excluded(excluded or []), settings, roi, atlas)
    selection = imported.selection
    # The authors chose the vertices; that no test movie had a part in it is theirs to vouch for.
    movies = sorted(package.train_movies)
    for path, runs, out, behind in (
        (train, imported.train, out_train, movies),
        (test, imported.test, out_test, sorted({*package.train_movies, *package.test_movies})),
    ):
        meta = header(
            "import_fmri",
            settings,
            behind,
            movies=list(runs),
            files={path.name: file_sha256(path)},
            excluded=[f"{movie}:{k}" for movie, run in runs.items() for k in missing_repeats(run)],
            vertices=vertices_digest(selection.vertex),
            axes="repeat, sample (TR), vertex",
        )
        meta["settings"]["package"] = package.kind
        write_arrays(out, runs, meta)
    placed_by = {} if vertex is None else {"files": {vertex.name: file_sha256(vertex)}}
    facts = selection.meta() | placed_by
    write_arrays(vertices, selection.arrays(), header("import_fmri", settings, movies, **facts))
    write_table(table, selection.table())


if __name__ == "__main__":
    main()
