"""Published networks: the only rule that uses a network. It runs where Snakemake does, on the login node."""


localrules:
    fetch_models,


# No output: it looks again whenever it is requested, and no other rule runs it.
rule fetch_models:
    log:
        log_file("fetch_models/fetch_models"),
    benchmark:
        benchmark_file("fetch_models/fetch_models")
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=memory(4),
        runtime=minutes(600),
    params:
        folders=json.dumps({name: str(folder) for name, folder in MODELS.items() if PUBLISHED[name].fetched}),
        settings=settings("fetch_models"),
    shell:
        'HF_HUB_OFFLINE=0 python "$NEUROCINE/fetch_models.py" --folders {params.folders:q} '
        "--settings {params.settings:q} 2> >(tee {log:q} >&2)"
