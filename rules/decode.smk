"""From fMRI of the test movies to video, to scores, and to clips a person can look at."""


rule decode:
    input:
        decoder=decoder_file("done.json"),
        unet=decoder_file("unet/diffusion_pytorch_model.safetensors"),
        encoder=decoder_file("encoder/model.safetensors"),
        fmri_train=of_subject("assemble_subject/train.safetensors"),
        fmri_test=of_subject("assemble_subject/test.safetensors"),
        stable_diffusion=MODEL_FILES["stable_diffusion"],
    output:
        of_experiment("decode/{condition}.safetensors"),
    log:
        log_file("decode/sub-{subject}_{experiment}_{condition}"),
    benchmark:
        benchmark_file("decode/sub-{subject}_{experiment}_{condition}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=ONE_GPU,
        device=DEVICE,
        mem_mb=memory(32),
        runtime=minutes(720),
    params:
        decoder=input_folder("decoder"),
        stable_diffusion=model_folder("stable_diffusion"),
        noise_ratio=noise_ratio,
        seed=seed_of,
        condition=condition_of,
        settings=settings("decode"),
        state=state_dir("decode/sub-{subject}_{experiment}_{condition}"),
    shell:
        "python workflow_scripts/decode.py --decoder {params.decoder:q} --fmri-train {input.fmri_train:q} "
        "--fmri-test {input.fmri_test:q} --stable-diffusion {params.stable_diffusion:q} "
        "--noise-ratio {params.noise_ratio} --seed {params.seed} --condition {params.condition} "
        "--settings {params.settings:q} --state {params.state:q} --out {output:q} --device {resources.device} 2> >(tee {log} >&2)"


rule decode_captions:
    input:
        prior=prior_file,
        embeddings=test_files(results("embed_clips/{batch}.safetensors")),
        training=drawn_captions,
        stable_diffusion=MODEL_FILES["stable_diffusion"],
    output:
        results(f"{METHOD}/{{experiment}}/decode/{{text}}.safetensors"),
    log:
        log_file("decode_captions/{experiment}_{text}"),
    benchmark:
        benchmark_file("decode_captions/{experiment}_{text}")
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
        noise_ratio=noise_ratio,
        seed=config["seed"],
        settings=settings("decode"),
        state=state_dir("decode_captions/{experiment}_{text}"),
    shell:
        "python workflow_scripts/decode_captions.py --prior {params.prior:q} --embeddings {input.embeddings:q} "
        "--condition {wildcards.text} --training {input.training:q} "
        "--stable-diffusion {params.stable_diffusion:q} --noise-ratio {params.noise_ratio} "
        "--seed {params.seed} --settings {params.settings:q} --state {params.state:q} --out {output:q} "
        "--device {resources.device} 2> >(tee {log} >&2)"


rule make_baselines:
    input:
        stimuli=test_files(results("prepare_stimuli/{batch}.safetensors")),
        train_stimuli=train_files(results("prepare_stimuli/{batch}.safetensors")),
    output:
        results("make_baselines/{baseline}.safetensors"),
    log:
        log_file("make_baselines/{baseline}"),
    benchmark:
        benchmark_file("make_baselines/{baseline}")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory(8),
        runtime=minutes(30),
    params:
        every=config["decode"]["every"],
        seed=config["seed"],
        settings=settings("make_baselines"),
    shell:
        "python workflow_scripts/make_baselines.py --baseline {wildcards.baseline} --stimuli {input.stimuli:q} "
        "--train-stimuli {input.train_stimuli:q} --every {params.every} --seed {params.seed} "
        "--settings {params.settings:q} --out {output:q} 2> >(tee {log} >&2)"


rule retrieve_clips:
    input:
        encoder=rules.train_encoder.output.weights,
        fmri=of_subject("assemble_subject/test.safetensors"),
        embeddings=train_files(results("embed_clips/{batch}.safetensors")),
        stimuli=train_files(results("prepare_stimuli/{batch}.safetensors")),
    output:
        of_subject("retrieve_clips/{encoder}.safetensors"),
    log:
        log_file("retrieve_clips/sub-{subject}_{encoder}"),
    benchmark:
        benchmark_file("retrieve_clips/sub-{subject}_{encoder}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=ONE_GPU,
        mem_mb=memory(16),
        runtime=minutes(60),
    params:
        encoder=input_folder("encoder"),
        every=config["decode"]["every"],
        seed=config["seed"],
        settings=settings("retrieve_clips"),
    shell:
        "python workflow_scripts/retrieve_clips.py --encoder {params.encoder:q} --fmri {input.fmri:q} "
        "--embeddings {input.embeddings:q} --stimuli {input.stimuli:q} --every {params.every} "
        "--seed {params.seed} --settings {params.settings:q} --out {output:q} 2> >(tee {log} >&2)"


rule score:
    input:
        decoded=scored_clips(),
        retrieved=retrieved_clips,
        stimuli=test_files(results("prepare_stimuli/{batch}.safetensors")),
        train_stimuli=train_files(results("prepare_stimuli/{batch}.safetensors")),
        latents=test_files(results("encode_latents/{batch}.safetensors")) if "vae" in CONDITIONS else [],
        stable_diffusion=MODEL_FILES["stable_diffusion"],
        image_classifier=MODEL_FILES["image_classifier"],
        video_classifier=MODEL_FILES["video_classifier"],
        clip=MODEL_FILES["clip"],
        vifi=MODEL_FILES.get("vifi", []),
    output:
        scores=of_experiment("scores.tsv"),
        clip_scores=of_experiment("clip_scores.tsv"),
    log:
        log_file("score/sub-{subject}_{experiment}"),
    benchmark:
        benchmark_file("score/sub-{subject}_{experiment}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=ONE_GPU,
        mem_mb=memory(16),
        runtime=minutes(240),
    params:
        stable_diffusion=model_folder("stable_diffusion"),
        image_classifier=model_folder("image_classifier"),
        video_classifier=model_folder("video_classifier"),
        clip=model_folder("clip"),
        vifi=["--vifi", str(MODELS["vifi"])] if "vifi" in MODELS else [],
        seed=config["seed"],
        dataset=DATASET,
        method=METHOD,
        settings=settings("score"),
        cache=state_dir("score/sub-{subject}_{experiment}.safetensors"),
    shell:
        "python workflow_scripts/score.py --decoded {input.decoded:q} {input.retrieved:q} --stimuli {input.stimuli:q} "
        "--train-stimuli {input.train_stimuli:q} --latents {input.latents:q} "
        "--stable-diffusion {params.stable_diffusion:q} --image-classifier {params.image_classifier:q} "
        "--video-classifier {params.video_classifier:q} --clip {params.clip:q} {params.vifi:q} "
        "--seed {params.seed} --dataset {params.dataset} --subject {wildcards.subject} --method {params.method} --experiment {wildcards.experiment} "
        "--settings {params.settings:q} --cache {params.cache:q} --out {output.scores:q} "
        "--clip-scores {output.clip_scores:q} 2> >(tee {log} >&2)"


rule show_clips:
    input:
        decoded=of_experiment("decode/fmri.safetensors"),
        stimuli=test_files(results("prepare_stimuli/{batch}.safetensors")),
        clip_scores=of_experiment("clip_scores.tsv"),
        controls=shown_controls,
    output:
        clips=[of_experiment(f"clips/{movie}.mp4") for movie in TEST],
        strips=[of_experiment(path) for path in STRIPS],
        controls=[of_experiment(path) for path in CONTROL_STRIPS],
    log:
        log_file("show_clips/sub-{subject}_{experiment}"),
    benchmark:
        benchmark_file("show_clips/sub-{subject}_{experiment}")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory(8),
        runtime=minutes(30),
    params:
        name="subject {subject}, {experiment}",
        seed=config["seed"],
        settings=settings("show_clips"),
    shell:
        "python workflow_scripts/show_clips.py --decoded {input.decoded:q} --stimuli {input.stimuli:q} "
        "--clip-scores {input.clip_scores:q} --name {params.name:q} --seed {params.seed} "
        "--settings {params.settings:q} --out-clips {output.clips:q} --out-strips {output.strips:q} "
        "--controls {input.controls:q} --out-controls {output.controls:q} 2> >(tee {log} >&2)"
