"""Look at raw files before anything is computed from them: all problems of a part in one message.

The first steps that read a part take the report of its check as input, so nothing is computed from a part with a
damaged file: `check_subject` holds up one subject, `check_models` what needs one network. A report is as good as the
first training run, movie or rest run that it lists; later changes of other files are no reason to make it again, or
nothing of the test movies could change without training anew, and one more rest subject would clean all again. Steps
refuse damaged files themselves, and `check_data` looks at all files whenever one has changed.
"""


include: "inputs/check.smk"


rule check_data:
    input:
        STUDY.videos(MOVIES),
        [path for subject in SUBJECTS for path in files_of(subject)],
        EVERY_REST_RUN,
        [path for name in CHECKED_MODELS for path in STUDY.models[name]],
    output:
        results("check_data/report.tsv"),
    log:
        log_file("check_data/check_data"),
    benchmark:
        benchmark_file("check_data/check_data")
    priority: 100
    conda:
        "../envs/training.yaml" if FMRI_FROM == "neuroclips" else "../envs/fmri.yaml"
    resources:
        mem_mb=memory(4),
        runtime=minutes(60),
    params:
        arguments=arguments_file(
            lambda wildcards, input: to_check(MOVIES, SUBJECTS, EVERY_REST_RUN, CHECKED_MODELS)
        ),
        asked=asked_of_files(MOVIES),
        stops="nothing was computed",
    shell:
        'python "$NEUROCINE/check_data.py" --arguments {params.arguments:q} --stops {params.stops:q} --out {output:q} '
        "2> >(tee {log:q} >&2)"


# Movies and runs alone: needs neither networks nor rest runs.
use rule check_data as check_recordings with:
    input:
        STUDY.videos(MOVIES),
        [path for subject in SUBJECTS for path in files_of(subject)],
    output:
        results("check_data/recordings.tsv"),
    log:
        log_file("check_data/check_recordings"),
    benchmark:
        benchmark_file("check_data/check_recordings")
    params:
        arguments=arguments_file(lambda wildcards, input: to_check(MOVIES, SUBJECTS)),
        asked=asked_of_files(MOVIES),
        stops="nothing was computed",


use rule check_data as check_stimuli with:
    input:
        STUDY.videos(TRAIN[:1]),
    output:
        results("check_stimuli/report.tsv"),
    log:
        log_file("check_stimuli/check_stimuli"),
    benchmark:
        benchmark_file("check_stimuli/check_stimuli")
    params:
        arguments=arguments_file(lambda wildcards, input: to_check(MOVIES)),
        asked="",
        stops="no movie was prepared, and nothing that needs one was computed",


use rule check_data as check_subject with:
    input:
        first_file,
    output:
        of_subject("check_subject/report.tsv"),
    log:
        log_file("check_subject/sub-{subject}"),
    benchmark:
        benchmark_file("check_subject/sub-{subject}")
    params:
        arguments=arguments_file(lambda wildcards, input: to_check(subjects=[wildcards.subject])),
        asked="",
        stops="nothing of subject {subject} was computed, other subjects go on with --keep-going",


use rule check_data as check_rest with:
    input:
        first_rest_run(),
    output:
        results("check_rest/report.tsv"),
    log:
        log_file("check_rest/check_rest"),
    benchmark:
        benchmark_file("check_rest/check_rest")
    params:
        arguments=arguments_file(lambda wildcards, input: to_check(rest=EVERY_REST_RUN)),
        asked="",
        stops="no rest run was read, and nothing that needs the pretrained encoder was computed",


use rule check_data as check_models with:
    input:
        lambda wildcards: STUDY.models[wildcards.network],
    output:
        results("check_models/{network}.tsv"),
    log:
        log_file("check_models/{network}"),
    benchmark:
        benchmark_file("check_models/{network}")
    params:
        arguments=arguments_file(lambda wildcards, input: to_check(networks=[wildcards.network])),
        asked="",
        stops="nothing that needs the network {network} was computed",
