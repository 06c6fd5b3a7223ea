"""Foundation models of the toy world. Their outputs go to results/; `make toy-models` copies them to studies/toy.

Nothing else in the workflow asks for these files, so a clone with fresh file times trains no model again.
"""

if SIMULATED:

    TOY_MODELS = results("toy_models")
    TOY_DIFFUSION = f"{TOY_MODELS}/stable_diffusion"

    rule train_toy_vae:
        output:
            f"{TOY_DIFFUSION}/vae/config.json",
            weights=f"{TOY_DIFFUSION}/vae/diffusion_pytorch_model.safetensors",
        log:
            log_file("train_toy_vae/train_toy_vae"),
        benchmark:
            benchmark_file("train_toy_vae/train_toy_vae")
        conda:
            "../envs/training.yaml"
        resources:
            mem_mb=memory(40),
            runtime=minutes(600),
        params:
            out=output_folder("weights"),
            state=state_dir("train_toy_vae"),
            seed=config["seed"],
            settings=settings("train_toy_vae"),
        shell:
            'python "$NEUROCINE/train_toy_vae.py" --seed {params.seed:q} --settings {params.settings:q} '
            "--state {params.state:q} --out {params.out:q} 2> >(tee {log:q} >&2)"

    rule train_toy_clip:
        output:
            config=f"{TOY_MODELS}/clip/config.json",
            text_encoder=f"{TOY_DIFFUSION}/text_encoder/config.json",
            tokenizer=f"{TOY_DIFFUSION}/tokenizer/tokenizer.json",
        log:
            log_file("train_toy_clip/train_toy_clip"),
        benchmark:
            benchmark_file("train_toy_clip/train_toy_clip")
        conda:
            "../envs/training.yaml"
        resources:
            mem_mb=memory(40),
            runtime=minutes(600),
        params:
            out=output_folder("config"),
            out_diffusion=lambda wildcards, output: str(Path(output.text_encoder).parents[1]),
            state=state_dir("train_toy_clip"),
            seed=config["seed"],
            settings=settings("train_toy_clip"),
        shell:
            'python "$NEUROCINE/train_toy_clip.py" --seed {params.seed:q} --settings {params.settings:q} '
            "--state {params.state:q} --out {params.out:q} --out-diffusion {params.out_diffusion:q} "
            "2> >(tee {log:q} >&2)"

    rule train_toy_image_classifier:
        output:
            config=f"{TOY_MODELS}/image_classifier/config.json",
        log:
            log_file("train_toy_image_classifier/train_toy_image_classifier"),
        benchmark:
            benchmark_file("train_toy_image_classifier/train_toy_image_classifier")
        conda:
            "../envs/training.yaml"
        resources:
            mem_mb=memory(40),
            runtime=minutes(600),
        params:
            out=output_folder("config"),
            state=state_dir("train_toy_image_classifier"),
            seed=config["seed"],
            settings=settings("train_toy_image_classifier"),
        shell:
            'python "$NEUROCINE/train_toy_image_classifier.py" --seed {params.seed:q} '
            "--settings {params.settings:q} --state {params.state:q} --out {params.out:q} 2> >(tee {log:q} >&2)"

    rule train_toy_video_classifier:
        output:
            config=f"{TOY_MODELS}/video_classifier/config.json",
        log:
            log_file("train_toy_video_classifier/train_toy_video_classifier"),
        benchmark:
            benchmark_file("train_toy_video_classifier/train_toy_video_classifier")
        conda:
            "../envs/training.yaml"
        resources:
            mem_mb=memory(40),
            runtime=minutes(600),
        params:
            out=output_folder("config"),
            state=state_dir("train_toy_video_classifier"),
            seed=config["seed"],
            settings=settings("train_toy_video_classifier"),
        shell:
            'python "$NEUROCINE/train_toy_video_classifier.py" --seed {params.seed:q} '
            "--settings {params.settings:q} --state {params.state:q} --out {params.out:q} 2> >(tee {log:q} >&2)"

    rule train_toy_blip:
        input:
            image_classifier=rules.train_toy_image_classifier.output.config,
        output:
            config=f"{TOY_MODELS}/blip/config.json",
        log:
            log_file("train_toy_blip/train_toy_blip"),
        benchmark:
            benchmark_file("train_toy_blip/train_toy_blip")
        conda:
            "../envs/training.yaml"
        resources:
            mem_mb=memory(40),
            runtime=minutes(600),
        params:
            out=output_folder("config"),
            image_classifier=input_folder("image_classifier"),
            state=state_dir("train_toy_blip"),
            seed=config["seed"],
            settings=settings("train_toy_blip"),
        shell:
            'python "$NEUROCINE/train_toy_blip.py" --image-classifier {params.image_classifier:q} '
            "--seed {params.seed:q} --settings {params.settings:q} --state {params.state:q} --out {params.out:q} "
            "2> >(tee {log:q} >&2)"

    rule train_toy_unet:
        input:
            vae=rules.train_toy_vae.output.weights,
            text_encoder=rules.train_toy_clip.output.text_encoder,
            tokenizer=rules.train_toy_clip.output.tokenizer,
        output:
            f"{TOY_DIFFUSION}/unet/config.json",
            f"{TOY_DIFFUSION}/scheduler/scheduler_config.json",
            index=f"{TOY_DIFFUSION}/model_index.json",
        log:
            log_file("train_toy_unet/train_toy_unet"),
        benchmark:
            benchmark_file("train_toy_unet/train_toy_unet")
        conda:
            "../envs/training.yaml"
        resources:
            mem_mb=memory(40),
            runtime=minutes(600),
        params:
            out=output_folder("index"),
            state=state_dir("train_toy_unet"),
            seed=config["seed"],
            settings=settings("train_toy_unet"),
        shell:
            'python "$NEUROCINE/train_toy_unet.py" --stable-diffusion {params.out:q} --seed {params.seed:q} '
            "--settings {params.settings:q} --state {params.state:q} --out {params.out:q} 2> >(tee {log:q} >&2)"

    rule score_toy_models:
        input:
            rules.train_toy_unet.output.index,
            rules.train_toy_clip.output.config,
            rules.train_toy_blip.output.config,
            rules.train_toy_image_classifier.output.config,
            rules.train_toy_video_classifier.output.config,
        output:
            manifest=f"{TOY_MODELS}/manifest.json",
            pictures=f"{TOY_MODELS}/samples.png",
        log:
            log_file("score_toy_models/score_toy_models"),
        benchmark:
            benchmark_file("score_toy_models/score_toy_models")
        conda:
            "../envs/training.yaml"
        resources:
            mem_mb=memory(40),
            runtime=minutes(60),
        params:
            models=output_folder("manifest"),
            seed=config["seed"],
            settings=settings("score_toy_models"),
        shell:
            'python "$NEUROCINE/score_toy_models.py" --models {params.models:q} --seed {params.seed:q} '
            "--settings {params.settings:q} --out {output.manifest:q} --out-pictures {output.pictures:q} "
            "2> >(tee {log:q} >&2)"

    rule toy_models:
        input:
            rules.score_toy_models.output,
        localrule: True
