"""The door: every raw file is looked at before anything is computed from it."""

# Steps that read raw data wait for this report but do not run again because of it (ancient), so that adding a
# subject checks that subject and leaves finished work alone.
CHECKED = results("check_data/report.tsv")


rule check_data:
    input:
        stimuli=map(str, STUDY.stimuli.values()),
        runs=[str(path) for runs in STUDY.runs.values() for path in runs.values()],
        rest=[path for files in REST.values() for path in files],
        models=[path for files in MODEL_FILES.values() for path in files],
    output:
        CHECKED,
    log:
        log_file("check_data/check_data"),
    benchmark:
        benchmark_file("check_data/check_data")
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=memory(4),
        runtime=minutes(60),
    params:
        models=lambda wildcards: list(config["models"].values()),
        settings=settings("check_data"),
    shell:
        "python workflow_scripts/check_data.py --stimuli {input.stimuli:q} --runs {input.runs:q} "
        "--rest {input.rest:q} --models {params.models:q} --settings {params.settings:q} --out {output:q} "
        "2> >(tee {log} >&2)"
