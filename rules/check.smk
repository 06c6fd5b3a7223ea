"""Validate every raw file before anything else runs; all problems come in one message."""

# Nothing takes the report as input, or adding a subject would make all of them again. (ancient() does not help:
# while the check itself has to run, Snakemake then overlooks every other reason to run what waits for it.) The
# priority puts the check before all other work, which a failure stops.
CHECKED = results("check_data/report.tsv")

CHECKED_MODELS = [name for name in MODELS if PUBLISHED[name].pretrained]


rule check_data:
    input:
        stimuli=STUDY.videos(MOVIES),
        runs=[path for subject in SUBJECTS for path in STUDY.runs(subject, MOVIES)],
        package_train=[str(files["train"]) for files in STUDY.packages.values()],
        package_test=[str(files["test"]) for files in STUDY.packages.values()],
        package_vertex=[str(files["vertex"]) for files in STUDY.packages.values()] if PLACED else [],
        rest=[path for files in REST.values() for path in files],
        models=[path for name in CHECKED_MODELS for path in MODEL_FILES[name]],
    output:
        CHECKED,
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
        movies=STUDY.movies(MOVIES),
        recordings=[text for subject in SUBJECTS for text in STUDY.recordings(subject, MOVIES)],
        models=[str(MODELS[name]) for name in CHECKED_MODELS],
        model_names=CHECKED_MODELS,
        package=STUDY.package_layout(),
        settings=settings("check_data"),
        preprocess_run=settings("preprocess_run"),
        prepare_stimuli=settings("prepare_stimuli"),
    shell:
        'python "$NEUROCINE/check_data.py" --stimuli {input.stimuli:q} --movies {params.movies:q} '
        "--runs {input.runs:q} --recordings {params.recordings:q} "
        "--rest {input.rest:q} --models {params.models:q} --model-names {params.model_names:q} --settings {params.settings:q} "
        "--preprocess-run {params.preprocess_run:q} --prepare-stimuli {params.prepare_stimuli:q} "
        "--package {params.package:q} --package-train {input.package_train:q} "
        "--package-test {input.package_test:q} --package-vertex {input.package_vertex:q} --out {output:q} "
        "2> >(tee {log:q} >&2)"


# Movies and runs alone: needs neither networks nor rest runs.
use rule check_data as check_recordings with:
    input:
        stimuli=STUDY.videos(MOVIES),
        runs=[path for subject in SUBJECTS for path in STUDY.runs(subject, MOVIES)],
        package_train=[str(files["train"]) for files in STUDY.packages.values()],
        package_test=[str(files["test"]) for files in STUDY.packages.values()],
        package_vertex=[str(files["vertex"]) for files in STUDY.packages.values()] if PLACED else [],
        rest=[],
        models=[],
    output:
        results("check_data/recordings.tsv"),
    log:
        log_file("check_data/check_recordings"),
    benchmark:
        benchmark_file("check_data/check_recordings")
    params:
        movies=STUDY.movies(MOVIES),
        recordings=[text for subject in SUBJECTS for text in STUDY.recordings(subject, MOVIES)],
        models=[],
        model_names=[],
        package=STUDY.package_layout(),
        settings=settings("check_data"),
        preprocess_run=settings("preprocess_run"),
        prepare_stimuli=settings("prepare_stimuli"),
