"""What the checks look at. Most of it is no input of their rules: it is written into the file of their arguments."""


def files_of(subject):
    """All recordings of a subject, or the files of its package."""
    package = STUDY.packages.get(subject, {})
    names = ("train", "test", "vertex") if PLACED else ("train", "test")
    return [*STUDY.runs(subject, MOVIES), *(str(package[name]) for name in names if name in package)]


def first_file(wildcards):
    """A file of a subject that every training depends on."""
    package = STUDY.packages.get(wildcards.subject)
    return [str(package["train"])] if package else STUDY.runs(wildcards.subject, TRAIN)[:1]


def asked_of_files(movies):
    """What of the config decides whether files are good."""
    steps = ("check_data", "preprocess_run", "prepare_stimuli")
    recordings = [text for subject in SUBJECTS for text in STUDY.recordings(subject, movies)]
    return [*map(settings, steps), STUDY.package_layout(), *STUDY.movies(movies), *recordings]


def to_check(movies=(), subjects=(), rest=(), networks=()):
    """The arguments of a check of these movies, subjects, files of rest runs and networks."""
    packages = [STUDY.packages[subject] for subject in subjects if subject in STUDY.packages]
    return {
        "settings": settings("check_data"),
        "preprocess_run": settings("preprocess_run"),
        "prepare_stimuli": settings("prepare_stimuli"),
        "package": STUDY.package_layout(),
        "stimuli": STUDY.videos(movies),
        "movies": STUDY.movies(movies),
        "runs": [path for subject in subjects for path in STUDY.runs(subject, MOVIES)],
        "recordings": [text for subject in subjects for text in STUDY.recordings(subject, MOVIES)],
        "package_train": [str(files["train"]) for files in packages],
        "package_test": [str(files["test"]) for files in packages],
        "package_vertex": [str(files["vertex"]) for files in packages] if PLACED else [],
        "rest": list(rest),
        "models": [str(MODELS[name]) for name in networks],
        "model_names": list(networks),
    }


def first_rest_run():
    """A run of the rest subject who came first, and who stays the first when others are added."""
    earlier = [subject for batch in STUDY.first.rest_batches.values() for subject in batch if subject in REST]
    return [path for subject in [*earlier, *REST][:1] for path in REST[subject][:1]]
