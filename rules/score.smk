"""Scores of decoded clips of whatever method, what they are compared with, and clips a person can look at."""


include: "inputs/score.smk"


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
        'python "$NEUROCINE/make_baselines.py" --baseline {wildcards.baseline:q} --stimuli {input.stimuli:q} '
        "--train-stimuli {input.train_stimuli:q} --every {params.every:q} --seed {params.seed:q} "
        "--settings {params.settings:q} --out {output:q} 2> >(tee {log:q} >&2)"


rule score:
    input:
        decoded=scored_clips,
        by_encoder=encoder_clips,
        stimuli=test_files(results("prepare_stimuli/{batch}.safetensors")),
        train_stimuli=train_files(results("prepare_stimuli/{batch}.safetensors")),
        latents=scored_latents,
        stable_diffusion=MODEL_FILES["stable_diffusion"],
        networks=[MODEL_FILES[name] for name in SCORING_NETWORKS],
    output:
        scores=of_experiment("scores.tsv"),
        clip_scores=of_experiment("clip_scores.tsv"),
    log:
        log_file("score/sub-{subject}_{method}_{experiment}"),
    benchmark:
        benchmark_file("score/sub-{subject}_{method}_{experiment}")
    priority: PRIORITY["score"]
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=ONE_GPU,
        device=DEVICE,
        mem_mb=memory(16),
        runtime=minutes(240),
    params:
        stable_diffusion=model_folder("stable_diffusion"),
        networks=[f"{name}={folder}" for name, folder in SCORING_NETWORKS.items()],
        seed=config["seed"],
        dataset=DATASET,
        method="{method}",
        settings=settings("score"),
        cache=state_dir("score/sub-{subject}_{experiment}.safetensors"),
    shell:
        'python "$NEUROCINE/score.py" --decoded {input.decoded:q} {input.by_encoder:q} --stimuli {input.stimuli:q} '
        "--train-stimuli {input.train_stimuli:q} --latents {input.latents:q} "
        "--stable-diffusion {params.stable_diffusion:q} --networks {params.networks:q} "
        "--seed {params.seed:q} --dataset {params.dataset:q} --subject {wildcards.subject:q} --method {params.method:q} --experiment {wildcards.experiment:q} "
        "--settings {params.settings:q} --cache {params.cache:q} --out {output.scores:q} "
        "--clip-scores {output.clip_scores:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule test_order:
    input:
        decoded=decoded_from_fmri,
        stimuli=test_files(results("prepare_stimuli/{batch}.safetensors")),
        clip_scores=of_experiment("clip_scores.tsv"),
        clip=MODEL_FILES["clip"],
    output:
        of_experiment("test_order.tsv"),
    log:
        log_file("test_order/sub-{subject}_{method}_{experiment}"),
    benchmark:
        benchmark_file("test_order/sub-{subject}_{method}_{experiment}")
    priority: PRIORITY["test_order"]
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=ONE_GPU,
        device=DEVICE,
        mem_mb=memory(16),
        runtime=minutes(120),
    params:
        networks=f"clip={MODELS['clip']}",
        seed=config["seed"],
        score=settings("score"),
        settings=settings("test_order"),
    shell:
        'python "$NEUROCINE/test_order.py" --decoded {input.decoded:q} --stimuli {input.stimuli:q} '
        "--clip-scores {input.clip_scores:q} --networks {params.networks:q} --seed {params.seed:q} "
        "--score {params.score:q} --settings {params.settings:q} --out {output:q} "
        "--device {resources.device:q} 2> >(tee {log:q} >&2)"


rule agree_fmri:
    input:
        fmri_train=of_subject("assemble_train/fmri.safetensors"),
        fmri_test=of_subject("assemble_test/fmri.safetensors"),
        train_embeddings=train_files(results("embed_clips/{batch}.safetensors")),
        test_embeddings=test_files(results("embed_clips/{batch}.safetensors")),
        train_stimuli=train_files(results("prepare_stimuli/{batch}.safetensors")),
        stimuli=test_files(results("prepare_stimuli/{batch}.safetensors")),
        decoded=scored_clips,
        by_encoder=encoder_clips,
        clip=MODEL_FILES["clip"],
        vertices=VERTICES,
        noise_ceiling=of_subject("noise_ceiling.tsv"),
    output:
        table=of_experiment("agree_fmri.tsv"),
        maps=of_experiment("maps/agree_fmri.safetensors"),
    log:
        log_file("agree_fmri/sub-{subject}_{method}_{experiment}"),
    benchmark:
        benchmark_file("agree_fmri/sub-{subject}_{method}_{experiment}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=ONE_GPU,
        device=DEVICE,
        mem_mb=memory(16),
        runtime=minutes(120),
    params:
        train_movies=TRAIN,
        clip=model_folder("clip"),
        seed=config["seed"],
        score=settings("score"),
        settings=settings("agree_fmri"),
    shell:
        'python "$NEUROCINE/agree_fmri.py" --fmri-train {input.fmri_train:q} --fmri-test {input.fmri_test:q} '
        "--train-movies {params.train_movies:q} --train-embeddings {input.train_embeddings:q} "
        "--test-embeddings {input.test_embeddings:q} --train-stimuli {input.train_stimuli:q} "
        "--stimuli {input.stimuli:q} --decoded {input.decoded:q} {input.by_encoder:q} "
        "--clip {params.clip:q} --vertices {input.vertices:q} --noise-ceiling {input.noise_ceiling:q} "
        "--seed {params.seed:q} --score {params.score:q} --settings {params.settings:q} "
        "--out {output.table:q} --maps {output.maps:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule plot_agreement:
    input:
        rules.agree_fmri.output.maps,
    output:
        of_experiment("maps/agree_fmri.png"),
    log:
        log_file("plot_agreement/sub-{subject}_{method}_{experiment}"),
    benchmark:
        benchmark_file("plot_agreement/sub-{subject}_{method}_{experiment}")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory(8),
        runtime=minutes(30),
    params:
        name="subject {subject}, {experiment}",
        fill="--fill-areas" if THINNED else "--no-fill-areas",
        surface=settings("plot_surface"),
        settings=settings("plot_agreement"),
    shell:
        'python "$NEUROCINE/plot_agreement.py" --agreement {input:q} --settings {params.settings:q} '
        "--surface {params.surface:q} --name {params.name:q} {params.fill:q} --out {output:q} 2> >(tee {log:q} >&2)"


# Snakemake wants every output named, and methods differ in their controls: one rule for each method.
for method in USED_METHODS:

    rule:
        name:
            "show_clips" if method.name == DEFAULT else f"show_clips_{method.name}"
        input:
            decoded=of_experiment(f"{method.step}/fmri.safetensors"),
            stimuli=test_files(results("prepare_stimuli/{batch}.safetensors")),
            clip_scores=of_experiment("clip_scores.tsv"),
            controls=shown_clips,
        output:
            clips=[of_experiment(path) for path in result_names.clip_films(config)],
            strips=[
                report(
                    of_experiment(path),
                    caption="captions/clips.rst",
                    category="Subject {subject}",
                    labels={
                        "experiment": "{experiment}",
                        "what": f"clips, {Path(path).stem}, {Path(path).suffix[1:]}",
                    },
                )
                for path in STRIPS
            ],
            controls=[of_experiment(path) for path in result_names.control_strips(config, method)],
        log:
            log_file("show_clips/sub-{subject}_{method}_{experiment}"),
        benchmark:
            benchmark_file("show_clips/sub-{subject}_{method}_{experiment}")
        wildcard_constraints:
            method=method.name,
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
            'python "$NEUROCINE/show_clips.py" --decoded {input.decoded:q} --stimuli {input.stimuli:q} '
            "--clip-scores {input.clip_scores:q} --name {params.name:q} --seed {params.seed:q} "
            "--settings {params.settings:q} --out-clips {output.clips:q} --out-strips {output.strips:q} "
            "--controls {input.controls:q} --out-controls {output.controls:q} 2> >(tee {log:q} >&2)"
