"""Which clips are scored, shown and retrieved under an experiment."""


def scored_clips(wildcards):
    """The files that are scored under an experiment, one per condition and seed."""
    row_of(wildcards.experiment, wildcards.method)
    method = METHODS[wildcards.method]
    return [
        *(
            of_experiment(f"{method.step}/{name}.safetensors")
            for name in studies.decoded_from_fmri(config, method)
        ),
        *(
            results(f"{{method}}/{{experiment}}/{method.step}/{name}.safetensors")
            for name in studies.conditions_among(config, method.text_conditions)
        ),
        *(
            results(f"make_baselines/{name}.safetensors")
            for name in studies.conditions_among(config, made_by("make_baselines"))
        ),
    ]


def shown_clips(wildcards):
    """The files whose clips are shown beside those from fMRI, one per condition."""
    controls = studies.shown_controls(config, METHODS[wildcards.method])
    files = [path for path in scored_clips(wildcards) if Path(path).stem in controls]
    return [*files, *retrieved_clips(wildcards)]


def retrieved_clips(wildcards):
    """Clips retrieved by the embedding of an experiment, if they are asked for and its method has one."""
    row, method = row_of(wildcards.experiment, wildcards.method), METHODS[wildcards.method]
    asked_for = method.retrieves and "retrieval" in CONDITIONS
    return [of_subject(f"retrieve_clips/{method.retrieval(row)}.safetensors")] if asked_for else []
