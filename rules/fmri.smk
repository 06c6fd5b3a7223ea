"""From CIFTI runs, or a preprocessed package, to the arrays that trainings read."""

ATLAS = [config["atlas"]] if config["atlas"] else []
LABELS = [config["atlas_labels"]] if config["atlas_labels"] else []
# For volumes: one run, whose grid all others share.
LIKE = STUDY.runs(SUBJECTS[0], TRAIN)[:1] if config["space"] == "mni" else []
SELECTED = of_vertices("select_vertices/vertices.safetensors")
VERTICES = SELECTED if FROM_RUNS else of_subject("import_fmri/vertices.safetensors")
CLEANED_RUNS = of_subject("preprocess_run/{batch}.safetensors")
CLEANED_TRAIN = train_files(CLEANED_RUNS) if FROM_RUNS else of_subject("import_fmri/train.safetensors")
CLEANED_TEST = test_files(CLEANED_RUNS) if FROM_RUNS else of_subject("import_fmri/test.safetensors")


rule select_vertices:
    input:
        atlas=ATLAS,
        labels=LABELS,
        like=LIKE,
        runs=to_choose_vertices(STUDY.runs),
        checked=of_subject("check_subject/report.tsv") if OWN_VERTICES else [],
        confounds=to_choose_vertices(STUDY.confounds),
    output:
        vertices=SELECTED,
        table=of_vertices("select_vertices/vertices.tsv"),
    log:
        log_file(f"select_vertices/{own('', 'select_vertices')}"),
    benchmark:
        benchmark_file(f"select_vertices/{own('', 'select_vertices')}")
    localrule: not OWN_VERTICES  # seconds of work, where no run is read
    conda:
        "../envs/fmri.yaml"
    resources:
        mem_mb=memory(4),
        runtime=minutes(10),
    params:
        atlas="--atlas" if ATLAS else "",
        labels="--labels" if LABELS else "",
        like="--like" if LIKE else "",
        settings=settings("select_vertices"),
        recordings=to_choose_vertices(STUDY.recordings),
        confounds=STUDY.confound_columns,
        preprocess_run=settings("preprocess_run") if OWN_VERTICES else "{}",
    shell:
        'python "$NEUROCINE/select_vertices.py" {params.atlas:q} {input.atlas:q} '
        "{params.labels:q} {input.labels:q} {params.like:q} {input.like:q} --runs {input.runs:q} "
        "--recordings {params.recordings:q} --confounds {params.confounds:q} --settings {params.settings:q} "
        "--preprocess-run {params.preprocess_run:q} --out {output.vertices:q} --table {output.table:q} "
        "2> >(tee {log:q} >&2)"


rule preprocess_run:
    input:
        runs=of_batch(STUDY.runs),
        confounds=of_batch(STUDY.confounds),
        vertices=SELECTED,
        checked=of_subject("check_subject/report.tsv"),
    output:
        kept("cleaned", CLEANED_RUNS),
    log:
        log_file("preprocess_run/sub-{subject}_{batch}"),
    benchmark:
        benchmark_file("preprocess_run/sub-{subject}_{batch}")
    conda:
        "../envs/fmri.yaml"
    resources:
        mem_mb=memory(8),
        runtime=minutes(60),
    params:
        recordings=of_batch(STUDY.recordings),
        confounds=STUDY.confound_columns,
        excluded=of_batch(STUDY.excluded),
        settings=settings("preprocess_run"),
    shell:
        'python "$NEUROCINE/preprocess_run.py" --runs {input.runs:q} '
        "--recordings {params.recordings:q} --confounds {params.confounds:q} --excluded {params.excluded:q} "
        "--vertices {input.vertices:q} --settings {params.settings:q} --out {output:q} 2> >(tee {log:q} >&2)"


rule import_fmri:
    input:
        fmri=package_file("train"),
        vertex=package_file("vertex"),
        roi=package_file("roi"),
        atlas=ATLAS,
        checked=of_subject("check_subject/report.tsv"),
    output:
        fmri=of_subject("import_fmri/train.safetensors"),
        vertices=of_subject("import_fmri/vertices.safetensors"),
        table=of_subject("import_fmri/vertices.tsv"),
    log:
        log_file("import_fmri/sub-{subject}_train"),
    benchmark:
        benchmark_file("import_fmri/sub-{subject}_train")
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=memory(16),
        runtime=minutes(60),
    params:
        part="train",
        places=lambda wildcards, output: ["--vertices", output.vertices, "--table", output.table],
        vertex=lambda wildcards, input: "--vertex" if input.vertex else "",
        roi=lambda wildcards, input: "--roi" if input.roi else "",
        atlas="--atlas" if ATLAS else "",
        excluded=lambda wildcards: STUDY.excluded(wildcards.subject, TRAIN),
        package=STUDY.package_layout("train"),
        settings=settings("import_fmri"),
    shell:
        'python "$NEUROCINE/import_fmri.py" --fmri {input.fmri:q} --part {params.part:q} '
        "{params.vertex:q} {input.vertex:q} {params.roi:q} {input.roi:q} {params.atlas:q} {input.atlas:q} "
        "--excluded {params.excluded:q} --package {params.package:q} --settings {params.settings:q} "
        "--out {output.fmri:q} {params.places:q} 2> >(tee {log:q} >&2)"


use rule import_fmri as import_fmri_test with:
    input:
        fmri=package_file("test"),
        vertex=package_file("vertex"),
        roi=package_file("roi"),
        atlas=ATLAS,
        checked=of_subject("check_subject/report.tsv"),
    output:
        fmri=of_subject("import_fmri/test.safetensors"),
    log:
        log_file("import_fmri/sub-{subject}_test"),
    benchmark:
        benchmark_file("import_fmri/sub-{subject}_test")
    params:
        part="test",
        places=[],
        vertex=lambda wildcards, input: "--vertex" if input.vertex else "",
        roi=lambda wildcards, input: "--roi" if input.roi else "",
        atlas="--atlas" if ATLAS else "",
        excluded=lambda wildcards: STUDY.excluded(wildcards.subject, TEST),
        package=STUDY.package_layout("test"),
        settings=settings("import_fmri"),


rule assemble_train:
    input:
        CLEANED_TRAIN,
    output:
        of_subject("assemble_train/fmri.safetensors"),
    log:
        log_file("assemble_train/sub-{subject}"),
    benchmark:
        benchmark_file("assemble_train/sub-{subject}")
    conda:
        "../envs/fmri.yaml"
    resources:
        mem_mb=memory(16),
        runtime=minutes(60),
    params:
        settings=settings("assemble_train"),
    shell:
        'python "$NEUROCINE/assemble_train.py" --train {input:q} --settings {params.settings:q} --out {output:q} '
        "2> >(tee {log:q} >&2)"


# A rule of its own, so that a change of the test movies never makes training samples, and so trainings, again.
rule assemble_test:
    input:
        test=CLEANED_TEST,
        train=rules.assemble_train.output,
    output:
        of_subject("assemble_test/fmri.safetensors"),
    log:
        log_file("assemble_test/sub-{subject}"),
    benchmark:
        benchmark_file("assemble_test/sub-{subject}")
    conda:
        "../envs/fmri.yaml"
    resources:
        mem_mb=memory(16),
        runtime=minutes(60),
    params:
        settings=settings("assemble_test"),
    shell:
        'python "$NEUROCINE/assemble_test.py" --test {input.test:q} --train {input.train:q} '
        "--settings {params.settings:q} --out {output:q} 2> >(tee {log:q} >&2)"


rule inspect_runs:
    input:
        runs=lambda wildcards: STUDY.runs(wildcards.subject, MOVIES),
        vertices=SELECTED,
    output:
        of_subject("runs.tsv"),
    log:
        log_file("inspect_runs/sub-{subject}"),
    benchmark:
        benchmark_file("inspect_runs/sub-{subject}")
    conda:
        "../envs/fmri.yaml"
    resources:
        mem_mb=memory(8),
        runtime=minutes(60),
    params:
        recordings=lambda wildcards: STUDY.recordings(wildcards.subject, MOVIES),
        settings=settings("inspect_runs"),
        preprocess_run=settings("preprocess_run"),
    shell:
        'python "$NEUROCINE/inspect_runs.py" --runs {input.runs:q} --recordings {params.recordings:q} '
        "--vertices {input.vertices:q} --settings {params.settings:q} "
        "--preprocess-run {params.preprocess_run:q} --out {output:q} 2> >(tee {log:q} >&2)"


rule measure_noise_ceiling:
    input:
        runs=CLEANED_TEST,
        vertices=VERTICES,
    output:
        of_subject("noise_ceiling.tsv"),
    log:
        log_file("measure_noise_ceiling/sub-{subject}"),
    benchmark:
        benchmark_file("measure_noise_ceiling/sub-{subject}")
    conda:
        "../envs/fmri.yaml"
    resources:
        mem_mb=memory(8),
        runtime=minutes(30),
    params:
        seed=config["seed"],
        settings=settings("measure_noise_ceiling"),
    shell:
        'python "$NEUROCINE/measure_noise_ceiling.py" --runs {input.runs:q} --vertices {input.vertices:q} '
        "--seed {params.seed:q} --settings {params.settings:q} --out {output:q} 2> >(tee {log:q} >&2)"


rule preprocess_hcp:
    input:
        rest=of_rest_batch(lambda subject: REST[subject]),
        vertices=VERTICES,
        checked=results("check_rest/report.tsv"),
    output:
        kept("cleaned", of_vertices("preprocess_hcp/{rest_batch}.safetensors")),
    log:
        log_file(f"preprocess_hcp/{own('_{rest_batch}', '{rest_batch}')}"),
    benchmark:
        benchmark_file(f"preprocess_hcp/{own('_{rest_batch}', '{rest_batch}')}")
    conda:
        "../envs/fmri.yaml"
    resources:
        mem_mb=memory(4),
        runtime=minutes(90),
    params:
        subjects=of_rest_batch(lambda subject: [subject] * len(REST[subject])),
        settings=settings("preprocess_hcp"),
    shell:
        'python "$NEUROCINE/preprocess_hcp.py" --rest {input.rest:q} --subjects {params.subjects:q} '
        "--vertices {input.vertices:q} --settings {params.settings:q} --out {output:q} 2> >(tee {log:q} >&2)"
