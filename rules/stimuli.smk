"""From movies to frames, captions, embeddings and latents. All subjects and experiments share them."""


rule prepare_stimuli:
    input:
        videos=of_batch(STUDY.videos),
        checked=results("check_stimuli/report.tsv"),
    output:
        results("prepare_stimuli/{batch}.safetensors"),
    log:
        log_file("prepare_stimuli/{batch}"),
    benchmark:
        benchmark_file("prepare_stimuli/{batch}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory(8),
        runtime=minutes(60),
    params:
        movies=of_batch(STUDY.movies),
        settings=settings("prepare_stimuli"),
    shell:
        'python "$NEUROCINE/prepare_stimuli.py" --videos {input.videos:q} --movies {params.movies:q} '
        "--settings {params.settings:q} --out {output:q} 2> >(tee {log:q} >&2)"


# LAVIS fits into no environment with anything else: its own by conda, or .venv-lavis (make lavis-env).
BY_LAVIS = config["caption_clips"]["backend"] == "lavis"
CAPTIONER = "lavis" if BY_LAVIS else "blip"
LAVIS_PYTHON = CHECKOUT / ".venv-lavis/bin/python"

CAPTION_TABLE = config["caption_clips"]["file"]
CAPTION_LISTS = [one["file"] for one in config["caption_clips"]["lists"]]
# Captions of two frames are compared by CLIP.
TWO_FRAMES = config["caption_clips"]["unit"] == "two_frames"


rule caption_clips:
    input:
        stimuli=results("prepare_stimuli/{batch}.safetensors"),
        model=MODEL_FILES[CAPTIONER],
        files=[CAPTION_TABLE] if CAPTION_TABLE else CAPTION_LISTS,
        judge=MODEL_FILES["clip"] if TWO_FRAMES else [],
    output:
        results("caption_clips/{batch}.tsv"),
    log:
        log_file("caption_clips/{batch}"),
    benchmark:
        benchmark_file("caption_clips/{batch}")
    conda:
        "../envs/lavis.yaml" if BY_LAVIS else "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=ONE_GPU,
        device=DEVICE,
        python=str(LAVIS_PYTHON) if BY_LAVIS and LAVIS_PYTHON.exists() else "python",
        mem_mb=memory(16),
        runtime=minutes(120),
    params:
        model=model_folder(CAPTIONER),
        clip=[str(MODELS["clip"])] if TWO_FRAMES else [],
        listed_movies=STUDY.listed_movies(),
        seed=config["seed"],
        settings=settings("caption_clips"),
    shell:
        '{resources.python:q} "$NEUROCINE/caption_clips.py" --stimuli {input.stimuli:q} --model {params.model:q} '
        "--clip {params.clip:q} --seed {params.seed:q} "
        "--listed-movies {params.listed_movies:q} --settings {params.settings:q} --out {output:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule embed_clips:
    input:
        stimuli=results("prepare_stimuli/{batch}.safetensors"),
        captions=results("caption_clips/{batch}.tsv"),
        clip=MODEL_FILES["clip"],
        stable_diffusion=MODEL_FILES["stable_diffusion"],
    output:
        results("embed_clips/{batch}.safetensors"),
    log:
        log_file("embed_clips/{batch}"),
    benchmark:
        benchmark_file("embed_clips/{batch}")
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
        stable_diffusion=model_folder("stable_diffusion"),
        settings=settings("embed_clips"),
    shell:
        'python "$NEUROCINE/embed_clips.py" --stimuli {input.stimuli:q} --captions {input.captions:q} '
        "--clip {params.clip:q} --stable-diffusion {params.stable_diffusion:q} "
        "--settings {params.settings:q} --out {output:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule encode_latents:
    input:
        stimuli=results("prepare_stimuli/{batch}.safetensors"),
        stable_diffusion=MODEL_FILES["stable_diffusion"],
    output:
        results("encode_latents/{batch}.safetensors"),
    log:
        log_file("encode_latents/{batch}"),
    benchmark:
        benchmark_file("encode_latents/{batch}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=ONE_GPU,
        device=DEVICE,
        mem_mb=memory(16),
        runtime=minutes(120),
    params:
        stable_diffusion=model_folder("stable_diffusion"),
        seed=config["seed"],
        settings=settings("encode_latents"),
    shell:
        'python "$NEUROCINE/encode_latents.py" --stimuli {input.stimuli:q} '
        "--stable-diffusion {params.stable_diffusion:q} --seed {params.seed:q} --settings {params.settings:q} "
        "--out {output:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"
