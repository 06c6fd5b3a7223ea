"""What a person asks for: results of each subject, tables, and the page that shows everything."""


include: "inputs/report.smk"


rule tabulate_scores:
    input:
        scores=each_result(["scores.tsv"], config["run_experiments"]),
    output:
        scores=report(
            results("tables/scores.tsv"),
            caption="captions/scores.rst",
            category="All results",
            labels={"what": "scores"},
        ),
        main=results("tables/main.tsv"),
        ablation=results("tables/ablation.tsv"),
    log:
        log_file("tabulate_scores/tabulate_scores"),
    benchmark:
        benchmark_file("tabulate_scores/tabulate_scores")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory(4),
        runtime=minutes(10),
    params:
        arguments=arguments_file(),
        study=STUDY.facts(),
        experiments=json.dumps({"rows": config["experiments"]}, sort_keys=True),
        settings=settings("tabulate_scores"),
    shell:
        'python "$NEUROCINE/tabulate_scores.py" --arguments {params.arguments:q} --study {params.study:q} '
        "--experiments {params.experiments:q} --settings {params.settings:q} "
        "--out-scores {output.scores:q} --out-main {output.main:q} --out-ablation {output.ablation:q} "
        "2> >(tee {log:q} >&2)"


rule compare_results:
    input:
        clip_scores=each_result(["clip_scores.tsv"], with_repeats(config["run_experiments"])),
        scores=results("tables/scores.tsv"),
    output:
        results=results("tables/results.tsv"),
        comparisons=results("tables/comparisons.tsv"),
        published=results("tables/published.tsv"),
    log:
        log_file("compare_results/compare_results"),
    benchmark:
        benchmark_file("compare_results/compare_results")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory(4),
        runtime=minutes(30),
    params:
        **compare_params(config["run_experiments"]),
    shell:
        'python "$NEUROCINE/compare_results.py" --arguments {params.arguments:q} '
        "--study {params.study:q} --trained {params.trained:q} --networks {params.networks:q} --seed {params.seed:q} "
        "--settings {params.settings:q} --out-results {output.results:q} --out-comparisons {output.comparisons:q} "
        "--out-published {output.published:q} 2> >(tee {log:q} >&2)"


NOISE_CEILINGS = expand(of_subject("noise_ceiling.tsv"), subject=SUBJECTS)
INSPECTED = [of_subject(name).format(subject=subject) for subject in SUBJECTS for name in RUN_TABLES]
# Optional, as the target lag_sweep is: an input once there is one, so that the next run builds the page again.
LAG_SWEEP = if_made(results("tables/lag_sweep.tsv"))


rule write_methods:
    input:
        scores=results("tables/scores.tsv"),
        vertices=expand(VERTICES, subject=SUBJECTS),
        logs=training_logs(config["run_experiments"]),
    output:
        text=report(
            results("methods.md"),
            caption="captions/methods.rst",
            category="All results",
            labels={"what": "methods"},
        ),
        references=results("methods.bib"),
        description=results("dataset_description.json"),
    log:
        log_file("write_methods/write_methods"),
    benchmark:
        benchmark_file("write_methods/write_methods")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory(4),
        runtime=minutes(10),
        asked=lambda wildcards: json.dumps({stage: vars(wish) for stage, wish in ASKED.items()}),
    params:
        arguments=arguments_file(),
        config=json.dumps(fit_to_share(config), sort_keys=True),
        experiments=config["run_experiments"],
        rest_subjects=len(REST),
        benchmarks=f"benchmarks/{DATASET}",
    shell:
        'python "$NEUROCINE/write_methods.py" --arguments {params.arguments:q} '
        "--experiments {params.experiments:q} --rest-subjects {params.rest_subjects:q} "
        "--benchmarks {params.benchmarks:q} --asked {resources.asked:q} --config {params.config:q} "
        "--out {output.text:q} --references {output.references:q} --description {output.description:q} 2> >(tee {log:q} >&2)"


rule build_browser:
    input:
        each_result(STRIPS[:1], config["run_experiments"]),
        scores=results("tables/scores.tsv"),
        summary=results("tables/results.tsv"),
        comparisons=results("tables/comparisons.tsv"),
        published=results("tables/published.tsv"),
        tables=[results("tables/main.tsv"), results("tables/ablation.tsv")],
        maps=each_result(maps_of, config["run_experiments"]),
        attention_tables=each_result(tables_of, config["run_experiments"]),
        agreement=each_result(agreement_of, config["run_experiments"]),
        features=feature_scores(config["run_experiments"]),
        areas=each_result(areas_of, config["run_experiments"]),
        order=each_result(order_of, config["run_experiments"]),
        result_tables=each_result(["scores.tsv", "clip_scores.tsv"], config["run_experiments"]),
        exports=each_result(exports_of, config["run_experiments"]),
        logs=training_logs(config["run_experiments"]),
        noise_ceilings=NOISE_CEILINGS,
        runs=INSPECTED,
        lag_sweep=LAG_SWEEP,
        methods=results("methods.md"),
    output:
        report(
            directory(results("browser")),
            htmlindex="index.html",
            caption="captions/page.rst",
            category="All results",
            labels={"what": "page"},
        ),
    log:
        log_file("build_browser/build_browser"),
    benchmark:
        benchmark_file("build_browser/build_browser")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory(4),
        runtime=minutes(10),
        asked=lambda wildcards: json.dumps({stage: vars(wish) for stage, wish in ASKED.items()}),
    params:
        **page_params(config["run_experiments"]),
    shell:
        'python "$NEUROCINE/build_browser.py" --arguments {params.arguments:q} '
        "--benchmarks {params.benchmarks:q} --made {params.made:q} --asked {resources.asked:q} "
        "--config {params.config:q} --settings {params.settings:q} --out {output:q}/index.html 2> >(tee {log:q} >&2)"


# A page for each subject as soon as it is finished; nothing waits for it but the end of the run.
ONE_SUBJECT = ["{subject}"]


use rule build_browser as build_subject_browser with:
    input:
        each_result(STRIPS[:1], config["run_experiments"], ONE_SUBJECT),
        scores=each_result(["scores.tsv"], config["run_experiments"], ONE_SUBJECT),
        summary=[],
        comparisons=[],
        published=[],
        tables=[],
        maps=each_result(maps_of, config["run_experiments"], ONE_SUBJECT),
        attention_tables=each_result(tables_of, config["run_experiments"], ONE_SUBJECT),
        agreement=each_result(agreement_of, config["run_experiments"], ONE_SUBJECT),
        features=feature_scores(config["run_experiments"], ONE_SUBJECT),
        areas=each_result(areas_of, config["run_experiments"], ONE_SUBJECT),
        order=each_result(order_of, config["run_experiments"], ONE_SUBJECT),
        result_tables=each_result(["scores.tsv", "clip_scores.tsv"], config["run_experiments"], ONE_SUBJECT),
        exports=each_result(exports_of, config["run_experiments"], ONE_SUBJECT),
        logs=training_logs(config["run_experiments"], ONE_SUBJECT),
        noise_ceilings=of_subject("noise_ceiling.tsv"),
        runs=[of_subject(name) for name in RUN_TABLES],
        lag_sweep=[],
        methods=[],
    output:
        directory(of_subject("browser")),
    log:
        log_file("build_browser/sub-{subject}"),
    benchmark:
        benchmark_file("build_browser/sub-{subject}")


rule sweep_lags:
    input:
        train=expand(of_subject("assemble_train/fmri.safetensors"), subject=SUBJECTS),
        test=expand(of_subject("assemble_test/fmri.safetensors"), subject=SUBJECTS),
        embeddings=expand(results("embed_clips/{batch}.safetensors"), batch=STUDY.batches),
    output:
        results("tables/lag_sweep.tsv"),
    log:
        log_file("sweep_lags/sweep_lags"),
    benchmark:
        benchmark_file("sweep_lags/sweep_lags")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory(16),
        runtime=minutes(60),
    params:
        arguments=arguments_file(),
        subjects=SUBJECTS,
        seed=config["seed"],
        settings=settings("sweep_lags"),
    shell:
        'python "$NEUROCINE/sweep_lags.py" --arguments {params.arguments:q} '
        "--subjects {params.subjects:q} --seed {params.seed:q} "
        "--settings {params.settings:q} --out {output:q} 2> >(tee {log:q} >&2)"


# The same for the experiments of the ablation, in a folder of their own.


use rule tabulate_scores as tabulate_ablation with:
    input:
        scores=each_result(["scores.tsv"], config["ablation_experiments"]),
    output:
        scores=report(
            results("ablation/tables/scores.tsv"),
            caption="captions/scores.rst",
            category="All results",
            labels={"what": "scores of the ablation"},
        ),
        main=results("ablation/tables/main.tsv"),
        ablation=results("ablation/tables/ablation.tsv"),
    log:
        log_file("tabulate_scores/ablation"),
    benchmark:
        benchmark_file("tabulate_scores/ablation")


use rule compare_results as compare_ablation with:
    input:
        clip_scores=each_result(["clip_scores.tsv"], with_repeats(config["ablation_experiments"])),
        scores=results("ablation/tables/scores.tsv"),
    output:
        results=results("ablation/tables/results.tsv"),
        comparisons=results("ablation/tables/comparisons.tsv"),
        published=results("ablation/tables/published.tsv"),
    log:
        log_file("compare_results/ablation"),
    benchmark:
        benchmark_file("compare_results/ablation")
    params:
        **compare_params(config["ablation_experiments"]),


use rule write_methods as write_ablation_methods with:
    input:
        scores=results("ablation/tables/scores.tsv"),
        vertices=expand(VERTICES, subject=SUBJECTS),
        logs=training_logs(config["ablation_experiments"]),
    output:
        text=report(
            results("ablation/methods.md"),
            caption="captions/methods.rst",
            category="All results",
            labels={"what": "methods of the ablation"},
        ),
        references=results("ablation/methods.bib"),
        description=results("ablation/dataset_description.json"),
    log:
        log_file("write_methods/ablation"),
    benchmark:
        benchmark_file("write_methods/ablation")
    params:
        arguments=arguments_file(),
        config=json.dumps(fit_to_share(config), sort_keys=True),
        experiments=config["ablation_experiments"],
        rest_subjects=len(REST),
        benchmarks=f"benchmarks/{DATASET}",


use rule build_browser as build_ablation_browser with:
    input:
        each_result(STRIPS[:1], config["ablation_experiments"]),
        scores=results("ablation/tables/scores.tsv"),
        summary=results("ablation/tables/results.tsv"),
        comparisons=results("ablation/tables/comparisons.tsv"),
        published=results("ablation/tables/published.tsv"),
        tables=[results("ablation/tables/main.tsv"), results("ablation/tables/ablation.tsv")],
        maps=each_result(maps_of, config["ablation_experiments"]),
        attention_tables=each_result(tables_of, config["ablation_experiments"]),
        agreement=each_result(agreement_of, config["ablation_experiments"]),
        features=feature_scores(config["ablation_experiments"]),
        areas=each_result(areas_of, config["ablation_experiments"]),
        order=each_result(order_of, config["ablation_experiments"]),
        result_tables=each_result(["scores.tsv", "clip_scores.tsv"], config["ablation_experiments"]),
        exports=each_result(exports_of, config["ablation_experiments"]),
        logs=training_logs(config["ablation_experiments"]),
        noise_ceilings=NOISE_CEILINGS,
        runs=INSPECTED,
        lag_sweep=LAG_SWEEP,
        methods=results("ablation/methods.md"),
    output:
        report(
            directory(results("ablation/browser")),
            htmlindex="index.html",
            caption="captions/page.rst",
            category="All results",
            labels={"what": "page of the ablation"},
        ),
    log:
        log_file("build_browser/ablation"),
    benchmark:
        benchmark_file("build_browser/ablation")
    params:
        **page_params(config["ablation_experiments"]),
