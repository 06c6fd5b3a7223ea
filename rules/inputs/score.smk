"""Which clips are scored and shown under an experiment."""


def trained_again(wildcards):
    """Whether an experiment is one of the config trained with a seed of train_seeds."""
    return "train_seed" in row_of(wildcards.experiment, wildcards.method)


def scored_clips(wildcards):
    """The files that are scored under an experiment, one per condition and seed.

    Of an experiment that is trained again those of its fMRI: controls are made once.
    """
    method = METHODS[wildcards.method]
    if trained_again(wildcards):
        names = result_names.generations(config, method)
        return [of_experiment(f"{method.step}/{name}.safetensors") for name in names]
    return [
        *(
            of_experiment(f"{method.step}/{name}.safetensors")
            for name in result_names.decoded_from_fmri(config, method)
        ),
        *(
            results(f"{{method}}/{{experiment}}/{method.step}/{name}.safetensors")
            for name in result_names.conditions_among(config, method.text_conditions)
        ),
        *(
            results(f"make_baselines/{name}.safetensors")
            for name in result_names.conditions_among(config, made_by("make_baselines"))
        ),
    ]


def scored_latents(wildcards):
    """The latents of the test movies, where the image compressor's clips are scored."""
    wanted = "vae" in CONDITIONS and not trained_again(wildcards)
    return test_files(results("encode_latents/{batch}.safetensors")) if wanted else []


def decoded_from_fmri(wildcards):
    """The clips that are decoded from fMRI under an experiment, with the study's own seed."""
    return of_experiment(f"{METHODS[wildcards.method].step}/fmri.safetensors")


def shown_clips(wildcards):
    """The files whose clips are shown beside those from fMRI, one per condition."""
    controls = result_names.shown_controls(config, METHODS[wildcards.method])
    files = [path for path in scored_clips(wildcards) if Path(path).stem in controls]
    return [*files, *encoder_clips(wildcards)]


def encoder_clips(wildcards):
    """Clips made by the encoder of an experiment alone, as far as they are asked for."""
    row, method = row_of(wildcards.experiment, wildcards.method), METHODS[wildcards.method]
    files = method.encoder_clips(row)
    return [
        of_subject(files[name]) for name in result_names.conditions_among(config, method.encoder_conditions)
    ]
