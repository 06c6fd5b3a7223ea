"""The fMRI encoder: pretrained on rest, then trained against captions and frames."""

if config["pretrain_on"] == "rest":
    PRETRAIN_ON = expand(of_vertices("preprocess_hcp/{rest}.safetensors"), rest=REST, allow_missing=True)
elif OWN_VERTICES:
    PRETRAIN_ON = [of_subject("assemble_subject/train.safetensors")]
else:
    PRETRAIN_ON = expand(of_subject("assemble_subject/train.safetensors"), subject=SUBJECTS)
PRETRAINED = of_vertices(
    f"{'import_encoder' if PUBLISHED_ENCODER else 'pretrain_encoder'}/encoder/model.safetensors"
)


if PUBLISHED_ENCODER:

    rule import_encoder:
        input:
            checkpoint=config["models"]["fmri_encoder"],
            vertices=VERTICES,
        output:
            config=of_vertices("import_encoder/encoder/config.json"),
            weights=of_vertices("import_encoder/encoder/model.safetensors"),
            tensors=of_vertices("import_encoder/tensors.tsv"),
            done=of_vertices("import_encoder/done.json"),
        log:
            log_file(f"import_encoder/{own('', 'import_encoder')}"),
        benchmark:
            benchmark_file(f"import_encoder/{own('', 'import_encoder')}")
        conda:
            "../envs/training.yaml"
        resources:
            mem_mb=memory(8),
            runtime=minutes(30),
        params:
            settings=settings("import_encoder"),
            out=output_folder("done"),
        shell:
            "python workflow_scripts/import_encoder.py --checkpoint {input.checkpoint:q} "
            "--vertices {input.vertices:q} --settings {params.settings:q} --out {params.out:q} 2> >(tee {log} >&2)"

else:

    rule pretrain_encoder:
        input:
            shards=PRETRAIN_ON,
        output:
            config=of_vertices("pretrain_encoder/encoder/config.json"),
            weights=of_vertices("pretrain_encoder/encoder/model.safetensors"),
            log=of_vertices("pretrain_encoder/log.jsonl"),
            done=of_vertices("pretrain_encoder/done.json"),
        log:
            log_file(f"pretrain_encoder/{own('', 'pretrain_encoder')}"),
        benchmark:
            benchmark_file(f"pretrain_encoder/{own('', 'pretrain_encoder')}")
        conda:
            "../envs/training.yaml"
        threads: config["compute"]["threads"]
        resources:
            **ON_GPUS,
            mem_mb=memory(64),
            runtime=minutes(1440),
        params:
            train_movies=TRAIN,
            seed=config["seed"],
            settings=settings("pretrain_encoder"),
            state=state_dir("pretrain_encoder/sub-{subject}" if OWN_VERTICES else "pretrain_encoder"),
            out=output_folder("done"),
        shell:
            "{resources.launcher} workflow_scripts/pretrain_encoder.py --shards {input.shards:q} "
            "--train-movies {params.train_movies:q} --seed {params.seed} "
            "--settings {params.settings:q} --state {params.state:q} --out {params.out:q} --device {resources.device} 2> >(tee {log} >&2)"


rule train_encoder:
    input:
        fmri=of_subject("assemble_subject/train.safetensors"),
        embeddings=train_files(results("embed_clips/{batch}.safetensors")),
        pretrained=PRETRAINED,
    output:
        config=of_subject("train_encoder/{encoder}/encoder/config.json"),
        weights=of_subject("train_encoder/{encoder}/encoder/model.safetensors"),
        log=of_subject("train_encoder/{encoder}/log.jsonl"),
        done=of_subject("train_encoder/{encoder}/done.json"),
    log:
        log_file("train_encoder/sub-{subject}_{encoder}"),
    benchmark:
        benchmark_file("train_encoder/sub-{subject}_{encoder}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        **ON_GPUS,
        mem_mb=memory(64),
        runtime=minutes(1440),
    params:
        pretrained=input_folder("pretrained"),
        train_movies=TRAIN,
        validation=config["movies"]["validation"],
        seed=config["seed"],
        settings=settings("train_encoder"),
        experiment=lambda wildcards: json.dumps(ENCODERS[wildcards.encoder]),
        state=state_dir("train_encoder/sub-{subject}_{encoder}"),
        out=output_folder("done"),
    shell:
        "{resources.launcher} workflow_scripts/train_encoder.py --fmri {input.fmri:q} "
        "--train-movies {params.train_movies:q} "
        "--embeddings {input.embeddings:q} --pretrained {params.pretrained:q} --validation {params.validation:q} "
        "--seed {params.seed} --settings {params.settings:q} --experiment {params.experiment:q} "
        "--state {params.state:q} --out {params.out:q} --device {resources.device} 2> >(tee {log} >&2)"
