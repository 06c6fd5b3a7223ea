"""What one job works on, and where the lists of its arguments lie."""


def train_files(path):
    """The files of all batches of training movies."""
    return expand(path, batch=STUDY.train_batches, allow_missing=True)


def test_files(path):
    """The files of all batches of test movies."""
    return expand(path, batch=STUDY.test_batches, allow_missing=True)


def of_batch(select):
    """Take what a function of the study selects of the movies of a batch, of the subject where there is one."""

    def taken(wildcards):
        subject = [wildcards.subject] if "subject" in wildcards.keys() else []
        return select(*subject, STUDY.batches[wildcards.batch])

    return taken


def of_rest_batch(select):
    """Take what a function selects of each rest subject of a batch."""

    def taken(wildcards):
        return [item for subject in STUDY.rest_batches[wildcards.rest_batch] for item in select(subject)]

    return taken


def to_choose_vertices(select):
    """The same of the runs by which a subject's vertices are chosen: of training movies only."""

    def taken(wildcards):
        return select(wildcards.subject, TRAIN) if OWN_VERTICES else []

    return taken


def package_file(name):
    """A file of the subject's package, if it has it."""

    def path(wildcards):
        return [str(path) for key, path in STUDY.packages[wildcards.subject].items() if key == name]

    return path


def condition_of(wildcards):
    """The condition of a decoding, without the seed that may follow it."""
    return wildcards.condition.partition("_seed")[0]


def seed_of(wildcards):
    """The seed of the initial noise: the study's, or the one in the file's name."""
    return int(wildcards.condition.partition("_seed")[2] or config["seed"])


def training_seed(training):
    """The seed of a training: the study's, or one of train_seeds."""
    return config["seed"] if training.seed is None else training.seed


# Command lines have a limit, so what grows with the study is given in a file. It is written here and not by a handler
# of the start, which Snakemake drops where this workflow is a module of another one.


def named_inputs(wildcards, input):
    """The named inputs of a job."""
    return {name: input.get(name) for name in input.keys()}


def arguments_file(chosen=named_inputs):
    """Where the arguments of a job lie that are given in a file: its named inputs, or what is chosen."""

    def path(wildcards, input, output):
        where = state_dir(f"arguments/{output[0].removeprefix(results(''))}.json")
        runs = workflow.executor_plugin is not None and not (workflow.dryrun or workflow.touch)
        if runs:
            lists = {
                name: text if isinstance(text, str) else list(map(str, text))
                for name, text in chosen(wildcards, input).items()
            }
            write_json(Path(where), lists)
        return where

    return path
