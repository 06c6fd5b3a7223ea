"""Preprocessed fMRI that others share, found by the names that they gave it."""

from pathlib import Path

from neurocine.errors import InputError

# Names of the files of preprocessed packages, the usual one last; single repeats win over means.
PACKAGE_FILES = {
    "mind_video": ("fmri_{part}_subject{subject}.npy", "preprocessed/fmri_{part}_subject{subject}.npy"),
    "neuroclips": ("subj{subject:0>2}_{part}_fmri.pt",),
    "arrays": ("sub-{subject}/fmri_{part}_rep.npy", "sub-{subject}/fmri_{part}.npy"),
}


def package_files(root: Path, kind: str, subject: str, vertex_mask: str | None = None) -> dict[str, Path]:
    """Name the files of one subject in a preprocessed package, whether they exist or not.

    Parameters
    ----------
    root : folder of the package
    kind : of PACKAGE_FILES
    subject : ``1``, ``2``, ...
    vertex_mask : file that tells where the subject's columns lie

    Returns
    -------
    train, test : fMRI under the first of its names that exists, else under the usual one
    vertex, roi : where the columns lie and the names of their areas, where there are such files
    """
    if kind not in PACKAGE_FILES:
        todo = f"Leave fmri_from out with the layout {kind}; else choose a package (docs/data.md)."
        raise InputError("fmri_from", kind, f"one of {', '.join(PACKAGE_FILES)}", todo)
    files = {}
    for part in ("train", "test"):
        paths = [Path(root) / name.format(part=part, subject=subject) for name in PACKAGE_FILES[kind]]
        files[part] = next((path for path in paths if path.is_file()), paths[-1])
    if vertex_mask is not None:
        files["vertex"] = Path(vertex_mask)
    if kind == "arrays":
        folder = Path(root) / f"sub-{subject}"
        files["vertex"] = folder / "vertex_index.npy"
        if (folder / "roi.npy").is_file():
            files["roi"] = folder / "roi.npy"
    return files
