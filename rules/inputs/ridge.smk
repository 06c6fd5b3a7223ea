"""Where the files of ridge regression's experiments lie, for its rules."""


def of_ridge(path):
    """A file of one subject under one experiment of this method."""
    return of_subject(f"{RIDGE.name}/{{experiment}}/{path}")
