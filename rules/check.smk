"""The door: every raw file is looked at before anything is computed from it."""

# Steps that read raw data wait for this file but do not run again because of it (ancient), so that adding a subject
# checks that subject and leaves finished work alone. It is not the report itself: Snakemake deletes the report before a
# check and after one that fails, and would then take everything that waits for it as out of date.
CHECKED = results("check_data/passed")


rule check_data:
    input:
        stimuli=map(str, STUDY.stimuli.values()),
        runs=[path for subject in SUBJECTS for path in used_runs(subject, MOVIES)],
        rest=[path for files in REST.values() for path in files],
        models=[path for files in MODEL_FILES.values() for path in files],
    output:
        results("check_data/report.tsv"),
    log:
        log_file("check_data/check_data"),
    benchmark:
        benchmark_file("check_data/check_data")
    conda:
        "../envs/fmri.yaml"
    resources:
        mem_mb=memory(4),
        runtime=minutes(60),
    params:
        models=lambda wildcards: list(config["models"].values()),
        settings=settings("check_data"),
        preprocess_run=settings("preprocess_run"),
        prepare_stimuli=settings("prepare_stimuli"),
    shell:
        "python workflow_scripts/check_data.py --stimuli {input.stimuli:q} --runs {input.runs:q} "
        "--rest {input.rest:q} --models {params.models:q} --settings {params.settings:q} "
        "--preprocess-run {params.preprocess_run:q} --prepare-stimuli {params.prepare_stimuli:q} --out {output:q} "
        "2> >(tee {log} >&2)"


rule pass_check:
    input:
        rules.check_data.output,
    output:
        touch(CHECKED),
    localrule: True
