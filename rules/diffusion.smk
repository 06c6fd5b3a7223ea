"""The video prior, fine-tuned on captions once for all subjects, and each subject's decoder on top of it."""


rule train_video_prior:
    input:
        latents=train_files(results("encode_latents/{batch}.safetensors")),
        embeddings=train_files(results("embed_clips/{batch}.safetensors")),
        stable_diffusion=MODEL_FILES["stable_diffusion"],
    output:
        config=results("train_video_prior/{prior}/unet/config.json"),
        weights=results("train_video_prior/{prior}/unet/diffusion_pytorch_model.safetensors"),
        log=results("train_video_prior/{prior}/log.jsonl"),
        samples=results("train_video_prior/{prior}/samples.png"),
        done=results("train_video_prior/{prior}/done.json"),
    log:
        log_file("train_video_prior/{prior}"),
    benchmark:
        benchmark_file("train_video_prior/{prior}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        **ON_GPUS,
        mem_mb=memory(64),
        runtime=minutes(1440),
    params:
        stable_diffusion=model_folder("stable_diffusion"),
        train_movies=TRAIN,
        validation=config["movies"]["validation"],
        noise_ratio=lambda wildcards: NOISE_RATIOS[wildcards.prior],
        seed=config["seed"],
        settings=settings("train_video_prior"),
        state=state_dir("train_video_prior/{prior}"),
        out=output_folder("done"),
    shell:
        "{resources.launcher} workflow_scripts/train_video_prior.py --latents {input.latents:q} "
        "--train-movies {params.train_movies:q} "
        "--embeddings {input.embeddings:q} --stable-diffusion {params.stable_diffusion:q} "
        "--validation {params.validation:q} --noise-ratio {params.noise_ratio} --seed {params.seed} "
        "--settings {params.settings:q} --state {params.state:q} --out {params.out:q} --device {resources.device} 2> >(tee {log} >&2)"


rule train_decoder:
    input:
        fmri=of_subject("assemble_subject/train.safetensors"),
        latents=train_files(results("encode_latents/{batch}.safetensors")),
        encoder=rules.train_encoder.output.weights,
        prior=rules.train_video_prior.output.weights,
        stable_diffusion=MODEL_FILES["stable_diffusion"],
    output:
        unet_config=of_subject("train_decoder/{encoder}_{prior}/unet/config.json"),
        unet=of_subject("train_decoder/{encoder}_{prior}/unet/diffusion_pytorch_model.safetensors"),
        encoder_config=of_subject("train_decoder/{encoder}_{prior}/encoder/config.json"),
        encoder=of_subject("train_decoder/{encoder}_{prior}/encoder/model.safetensors"),
        log=of_subject("train_decoder/{encoder}_{prior}/log.jsonl"),
        samples=of_subject("train_decoder/{encoder}_{prior}/samples.png"),
        done=of_subject("train_decoder/{encoder}_{prior}/done.json"),
    log:
        log_file("train_decoder/sub-{subject}_{encoder}_{prior}"),
    benchmark:
        benchmark_file("train_decoder/sub-{subject}_{encoder}_{prior}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        **ON_GPUS,
        mem_mb=memory(64),
        runtime=minutes(2880),
    params:
        encoder=input_folder("encoder"),
        prior=input_folder("prior"),
        stable_diffusion=model_folder("stable_diffusion"),
        train_movies=TRAIN,
        validation=config["movies"]["validation"],
        noise_ratio=lambda wildcards: NOISE_RATIOS[wildcards.prior],
        seed=config["seed"],
        settings=settings("train_decoder"),
        state=state_dir("train_decoder/sub-{subject}_{encoder}_{prior}"),
        out=output_folder("done"),
    shell:
        "{resources.launcher} workflow_scripts/train_decoder.py --fmri {input.fmri:q} --latents {input.latents:q} "
        "--train-movies {params.train_movies:q} "
        "--encoder {params.encoder:q} --prior {params.prior:q} "
        "--stable-diffusion {params.stable_diffusion:q} --validation {params.validation:q} "
        "--noise-ratio {params.noise_ratio} --seed {params.seed} --settings {params.settings:q} "
        "--state {params.state:q} --out {params.out:q} --device {resources.device} 2> >(tee {log} >&2)"
