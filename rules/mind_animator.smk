"""Mind-Animator: three decoders of single TRs, features decoded by them, and clips drawn from these."""


include: "inputs/animator.smk"


ANIMATOR = METHODS["mind_animator"]
MOTIONS = studies.trainings(config, ANIMATOR, "train_motion")
VARIANTS = dict.fromkeys(training.parameters["variant"] for training in MOTIONS.values())
FEATURES_OF = result_names.conditions_among(config, ANIMATOR.fmri_conditions)


wildcard_constraints:
    variant=one_of(VARIANTS),
    training="(_train[0-9]+)?",
    motion=one_of(MOTIONS),


rule augment_captions:
    input:
        stimuli=results("prepare_stimuli/{batch}.safetensors"),
        captions=results("caption_clips/{batch}.tsv"),
        synonyms=config["augment_captions"]["synonyms"] or [],
    output:
        results("augment_captions/{batch}.tsv"),
    log:
        log_file("augment_captions/{batch}"),
    benchmark:
        benchmark_file("augment_captions/{batch}")
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=memory(4),
        runtime=minutes(30),
    params:
        seed=config["seed"],
        settings=settings("augment_captions"),
    shell:
        'python "$NEUROCINE/augment_captions.py" --stimuli {input.stimuli:q} --captions {input.captions:q} '
        "--seed {params.seed:q} --settings {params.settings:q} --out {output:q} 2> >(tee {log:q} >&2)"


rule embed_variants:
    input:
        stimuli=results("prepare_stimuli/{batch}.safetensors"),
        captions=results("caption_clips/{batch}.tsv"),
        variants=rules.augment_captions.output,
        clip=MODEL_FILES["clip"],
    output:
        results("embed_variants/{batch}.safetensors"),
    log:
        log_file("embed_variants/{batch}"),
    benchmark:
        benchmark_file("embed_variants/{batch}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=ONE_GPU,
        device=DEVICE,
        mem_mb=memory(16),
        runtime=minutes(60),
    params:
        clip=model_folder("clip"),
        seed=config["seed"],
        settings=settings("embed_variants"),
    shell:
        'python "$NEUROCINE/embed_variants.py" --stimuli {input.stimuli:q} --captions {input.captions:q} '
        "--variants {input.variants:q} --clip {params.clip:q} --seed {params.seed:q} --settings {params.settings:q} "
        "--out {output:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule train_semantic:
    input:
        fmri=of_subject("assemble_train/fmri.safetensors"),
        embeddings=train_files(results("embed_clips/{batch}.safetensors")),
        variants=train_files(results("embed_variants/{batch}.safetensors")),
    output:
        weights=of_subject("train_semantic/{variant}{training}/decoder/model.safetensors"),
        config=of_subject("train_semantic/{variant}{training}/decoder/config.json"),
        log=of_subject("train_semantic/{variant}{training}/log.jsonl"),
        done=of_subject("train_semantic/{variant}{training}/done.json"),
    log:
        log_file("train_semantic/sub-{subject}_{variant}{training}"),
    benchmark:
        benchmark_file("train_semantic/sub-{subject}_{variant}{training}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        **ON_GPUS,
        mem_mb=memory(16),
        runtime=minutes(120),
    params:
        train_movies=TRAIN,
        validation=config["movies"]["validation"],
        seed=seed_of_variant,
        settings=settings("train_semantic"),
        state=state_dir("train_semantic/sub-{subject}_{variant}{training}"),
        out=output_folder("done"),
    shell:
        '{resources.launcher} "$NEUROCINE/train_semantic.py" --fmri {input.fmri:q} --embeddings {input.embeddings:q} '
        "--variants {input.variants:q} --train-movies {params.train_movies:q} --validation {params.validation:q} "
        "--variant {wildcards.variant:q} --seed {params.seed:q} --settings {params.settings:q} --state {params.state:q} "
        "--out {params.out:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule train_structure:
    input:
        fmri=of_subject("assemble_train/fmri.safetensors"),
        latents=train_files(results("encode_latents/{batch}.safetensors")),
    output:
        weights=of_subject("train_structure/{variant}{training}/decoder/model.safetensors"),
        config=of_subject("train_structure/{variant}{training}/decoder/config.json"),
        log=of_subject("train_structure/{variant}{training}/log.jsonl"),
        done=of_subject("train_structure/{variant}{training}/done.json"),
    log:
        log_file("train_structure/sub-{subject}_{variant}{training}"),
    benchmark:
        benchmark_file("train_structure/sub-{subject}_{variant}{training}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        **ON_GPUS,
        mem_mb=memory(16),
        runtime=minutes(120),
    params:
        train_movies=TRAIN,
        validation=config["movies"]["validation"],
        seed=seed_of_variant,
        settings=settings("train_structure"),
        state=state_dir("train_structure/sub-{subject}_{variant}{training}"),
        out=output_folder("done"),
    shell:
        '{resources.launcher} "$NEUROCINE/train_structure.py" --fmri {input.fmri:q} --latents {input.latents:q} '
        "--train-movies {params.train_movies:q} --validation {params.validation:q} --variant {wildcards.variant:q} "
        "--seed {params.seed:q} --settings {params.settings:q} --state {params.state:q} --out {params.out:q} "
        "--device {resources.device:q} 2> >(tee {log:q} >&2)"


rule train_motion:
    input:
        fmri=of_subject("assemble_train/fmri.safetensors"),
        latents=train_files(results("encode_latents/{batch}.safetensors")),
        structure=structure_of_motion,
    output:
        weights=of_subject("train_motion/{motion}/decoder/model.safetensors"),
        config=of_subject("train_motion/{motion}/decoder/config.json"),
        log=of_subject("train_motion/{motion}/log.jsonl"),
        done=of_subject("train_motion/{motion}/done.json"),
    log:
        log_file("train_motion/sub-{subject}_{motion}"),
    benchmark:
        benchmark_file("train_motion/sub-{subject}_{motion}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        **ON_GPUS,
        mem_mb=memory(32),
        runtime=minutes(240),
    params:
        structure=input_folder("structure"),
        train_movies=TRAIN,
        validation=config["movies"]["validation"],
        variant=motion_parameter("variant"),
        memory_tokens=motion_parameter("memory_tokens"),
        motion_from=motion_parameter("motion_from"),
        seed=lambda wildcards: training_seed(MOTIONS[wildcards.motion]),
        settings=settings("train_motion"),
        state=state_dir("train_motion/sub-{subject}_{motion}"),
        out=output_folder("done"),
    shell:
        '{resources.launcher} "$NEUROCINE/train_motion.py" --fmri {input.fmri:q} --latents {input.latents:q} '
        "--structure {params.structure:q} --train-movies {params.train_movies:q} --validation {params.validation:q} "
        "--variant {params.variant:q} --memory-tokens {params.memory_tokens:q} --motion-from {params.motion_from:q} "
        "--seed {params.seed:q} --settings {params.settings:q} --state {params.state:q} --out {params.out:q} "
        "--device {resources.device:q} 2> >(tee {log:q} >&2)"


rule decode_features:
    input:
        semantic=animator_decoder("train_semantic"),
        structure=animator_decoder("train_structure"),
        motion=animator_decoder("train_motion"),
        fmri_train=of_subject("assemble_train/fmri.safetensors"),
        fmri_test=of_subject("assemble_test/fmri.safetensors"),
        embeddings=test_files(results("embed_clips/{batch}.safetensors")),
        latents=test_files(results("encode_latents/{batch}.safetensors")),
    output:
        kept("latents", of_subject("decode_features/{motion}/{condition}.safetensors")),
    log:
        log_file("decode_features/sub-{subject}_{motion}_{condition}"),
    benchmark:
        benchmark_file("decode_features/sub-{subject}_{motion}_{condition}")
    wildcard_constraints:
        condition=one_of(ANIMATOR.fmri_conditions),
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=ONE_GPU,
        device=DEVICE,
        mem_mb=memory(16),
        runtime=minutes(30),
    params:
        semantic=input_folder("semantic"),
        structure=input_folder("structure"),
        motion=input_folder("motion"),
        variant=motion_parameter("variant"),
        seed=config["seed"],
        settings=settings("decode_features"),
    shell:
        'python "$NEUROCINE/decode_features.py" --semantic {params.semantic:q} --structure {params.structure:q} '
        "--motion {params.motion:q} --fmri-train {input.fmri_train:q} --fmri-test {input.fmri_test:q} "
        "--embeddings {input.embeddings:q} --latents {input.latents:q} --condition {wildcards.condition:q} "
        "--variant {params.variant:q} --seed {params.seed:q} --settings {params.settings:q} --out {output:q} "
        "--device {resources.device:q} 2> >(tee {log:q} >&2)"


rule score_features:
    input:
        features=expand(
            of_subject("decode_features/{motion}/{condition}.safetensors"),
            condition=FEATURES_OF,
            allow_missing=True,
        ),
        embeddings=test_files(results("embed_clips/{batch}.safetensors")),
        latents=test_files(results("encode_latents/{batch}.safetensors")),
        train_embeddings=train_files(results("embed_clips/{batch}.safetensors")),
        train_latents=train_files(results("encode_latents/{batch}.safetensors")),
    output:
        of_subject("score_features/{motion}.tsv"),
    log:
        log_file("score_features/sub-{subject}_{motion}"),
    benchmark:
        benchmark_file("score_features/sub-{subject}_{motion}")
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=memory(16),
        runtime=minutes(30),
    params:
        image_frame=config["train_semantic"]["image_frame"],
        dataset=DATASET,
        decoders="{motion}",
        seed=config["seed"],
        settings=settings("score_features"),
    shell:
        'python "$NEUROCINE/score_features.py" --features {input.features:q} --embeddings {input.embeddings:q} '
        "--latents {input.latents:q} --train-embeddings {input.train_embeddings:q} "
        "--train-latents {input.train_latents:q} --image-frame {params.image_frame:q} --dataset {params.dataset:q} "
        "--subject {wildcards.subject:q} --decoders {params.decoders:q} --seed {params.seed:q} "
        "--settings {params.settings:q} --out {output:q} 2> >(tee {log:q} >&2)"


rule reconstruct:
    input:
        features=decoded_features,
        stable_diffusion=MODEL_FILES["stable_diffusion"],
    output:
        kept("decoded", of_animator("reconstruct/{condition}.safetensors")),
    log:
        log_file("reconstruct/sub-{subject}_{experiment}_{condition}"),
    benchmark:
        benchmark_file("reconstruct/sub-{subject}_{experiment}_{condition}")
    wildcard_constraints:
        condition=f"({one_of(ANIMATOR.fmri_conditions)})(_seed[0-9]+)?",
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
        stable_diffusion=model_folder("stable_diffusion"),
        experiment=drawing,
        every=config["decode"]["every"],
        seed=seed_of,
        settings=settings("reconstruct"),
        state=state_dir("reconstruct/sub-{subject}_{experiment}_{condition}"),
    shell:
        'python "$NEUROCINE/reconstruct.py" --features {input.features:q} '
        "--stable-diffusion {params.stable_diffusion:q} --experiment {params.experiment:q} --every {params.every:q} "
        "--seed {params.seed:q} --settings {params.settings:q} --state {params.state:q} --out {output:q} "
        "--device {resources.device:q} 2> >(tee {log:q} >&2)"
