"""The fMRI encoder: pretrained on rest, then trained against captions and frames."""

PRETRAIN_ON = {
    "rest": expand(results("preprocess_hcp/{rest}.safetensors"), rest=REST),
    "training_fmri": expand(of_subject("assemble_subject/train.safetensors"), subject=SUBJECTS),
}
PUBLISHED_ENCODER = config["pretrain_on"] == "published"
PRETRAINED = results(
    f"{'import_encoder' if PUBLISHED_ENCODER else 'pretrain_encoder'}/encoder/model.safetensors"
)


if PUBLISHED_ENCODER:

    rule import_encoder:
        input:
            checkpoint=config["models"]["fmri_encoder"],
            vertices=results("select_vertices/vertices.safetensors"),
        output:
            config=results("import_encoder/encoder/config.json"),
            weights=results("import_encoder/encoder/model.safetensors"),
            tensors=results("import_encoder/tensors.tsv"),
            done=results("import_encoder/done.json"),
        log:
            log_file("import_encoder/import_encoder"),
        benchmark:
            benchmark_file("import_encoder/import_encoder")
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
            shards=PRETRAIN_ON[config["pretrain_on"]],
        output:
            config=results("pretrain_encoder/encoder/config.json"),
            weights=results("pretrain_encoder/encoder/model.safetensors"),
            log=results("pretrain_encoder/log.jsonl"),
            done=results("pretrain_encoder/done.json"),
        log:
            log_file("pretrain_encoder/pretrain_encoder"),
        benchmark:
            benchmark_file("pretrain_encoder/pretrain_encoder")
        conda:
            "../envs/training.yaml"
        threads: config["compute"]["threads"]
        resources:
            gpu=GPUS,
            launcher=TRAIN_WITH,
            device=DEVICE,
            mem_mb=memory(64),
            runtime=minutes(1440),
        params:
            train_movies=TRAIN,
            seed=config["seed"],
            settings=settings("pretrain_encoder"),
            state=state_dir("pretrain_encoder"),
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
        gpu=GPUS,
        launcher=TRAIN_WITH,
        device=DEVICE,
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
