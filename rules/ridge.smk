"""Ridge regression, the method to beat: features predicted at once under all conditions, and clips of them."""


include: "inputs/ridge.smk"


RIDGE = METHODS["ridge"]
PREDICTED = result_names.conditions_among(config, RIDGE.fmri_conditions)
# Experiments whose clips the video prior samples.
BY_CAPTION = [name for name, row in EXPERIMENTS.items() if row.get("target") == "caption"]


rule predict_features:
    input:
        fmri_train=of_subject("assemble_train/fmri.safetensors"),
        fmri_test=of_subject("assemble_test/fmri.safetensors"),
        embeddings=train_files(results("embed_clips/{batch}.safetensors")),
        latents=train_files(results("encode_latents/{batch}.safetensors")),
    output:
        [kept("latents", of_subject(f"predict_features/{name}.safetensors")) for name in PREDICTED],
    log:
        log_file("predict_features/sub-{subject}"),
    benchmark:
        benchmark_file("predict_features/sub-{subject}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory(64),
        runtime=minutes(240),
    params:
        train_movies=TRAIN,
        conditions=PREDICTED,
        tokens=config["train_semantic"]["tokens"],
        seed=config["seed"],
        settings=settings("predict_features"),
    shell:
        'python "$NEUROCINE/predict_features.py" --fmri-train {input.fmri_train:q} '
        "--fmri-test {input.fmri_test:q} --train-movies {params.train_movies:q} "
        "--embeddings {input.embeddings:q} --latents {input.latents:q} --conditions {params.conditions:q} "
        "--tokens {params.tokens:q} --seed {params.seed:q} --settings {params.settings:q} --out {output:q} "
        "2> >(tee {log:q} >&2)"


rule predict_clips:
    input:
        features=of_subject("predict_features/{condition}.safetensors"),
        embeddings=train_files(results("embed_clips/{batch}.safetensors")),
        stimuli=train_files(results("prepare_stimuli/{batch}.safetensors")),
        stable_diffusion=MODEL_FILES["stable_diffusion"],
    output:
        kept("decoded", of_ridge("predict_clips/{condition}.safetensors")),
    log:
        log_file("predict_clips/sub-{subject}_{experiment}_{condition}"),
    benchmark:
        benchmark_file("predict_clips/sub-{subject}_{experiment}_{condition}")
    wildcard_constraints:
        condition=one_of(PREDICTED),
        experiment=one_of(name for name in EXPERIMENTS if name not in BY_CAPTION),
    priority: PRIORITY["decode"]
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=ONE_GPU,
        device=DEVICE,
        mem_mb=memory(16),
        runtime=minutes(60),
    params:
        target=lambda wildcards: row_of(wildcards.experiment, RIDGE.name)["target"],
        stable_diffusion=model_folder("stable_diffusion"),
        every=config["decode"]["every"],
        seed=config["seed"],
        settings=settings("predict_clips"),
    shell:
        'python "$NEUROCINE/predict_clips.py" --features {input.features:q} --target {params.target:q} '
        "--embeddings {input.embeddings:q} --stimuli {input.stimuli:q} "
        "--stable-diffusion {params.stable_diffusion:q} --every {params.every:q} --seed {params.seed:q} "
        "--settings {params.settings:q} --out {output:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule predict_captions:
    input:
        features=of_subject("predict_features/{condition}.safetensors"),
        prior=ridge_prior_file,
        embeddings=train_files(results("embed_clips/{batch}.safetensors")),
        stable_diffusion=MODEL_FILES["stable_diffusion"],
    output:
        kept("decoded", of_ridge("predict_clips/{condition}.safetensors")),
    log:
        log_file("predict_captions/sub-{subject}_{experiment}_{condition}"),
    benchmark:
        benchmark_file("predict_captions/sub-{subject}_{experiment}_{condition}")
    wildcard_constraints:
        condition=one_of(PREDICTED),
        experiment=one_of(BY_CAPTION),
    priority: PRIORITY["decode"]
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=ONE_GPU,
        device=DEVICE,
        mem_mb=memory(32),
        runtime=minutes(720),
    params:
        prior=lambda wildcards, input: str(Path(input.prior).parents[1]),
        stable_diffusion=model_folder("stable_diffusion"),
        noise_ratio=lambda wildcards: row_of(wildcards.experiment, RIDGE.name)["noise_ratio"],
        seed=config["seed"],
        settings=settings("decode"),
        state=state_dir("predict_captions/sub-{subject}_{experiment}_{condition}"),
    shell:
        'python "$NEUROCINE/predict_captions.py" --features {input.features:q} --prior {params.prior:q} '
        "--embeddings {input.embeddings:q} --stable-diffusion {params.stable_diffusion:q} "
        "--noise-ratio {params.noise_ratio:q} --seed {params.seed:q} --settings {params.settings:q} "
        "--state {params.state:q} --out {output:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


use rule score_features as score_ridge_features with:
    input:
        features=rules.predict_features.output,
        embeddings=test_files(results("embed_clips/{batch}.safetensors")),
        latents=test_files(results("encode_latents/{batch}.safetensors")),
        train_embeddings=train_files(results("embed_clips/{batch}.safetensors")),
        train_latents=train_files(results("encode_latents/{batch}.safetensors")),
    output:
        of_subject("score_features/ridge.tsv"),
    log:
        log_file("score_features/sub-{subject}_ridge"),
    benchmark:
        benchmark_file("score_features/sub-{subject}_ridge")
    params:
        image_frame=config["train_semantic"]["image_frame"],
        dataset=DATASET,
        decoders="ridge",
        seed=config["seed"],
        settings=settings("score_features"),
