"""Scores of decoded clips of whatever method, what they are compared with, and clips a person can look at."""


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
        "python workflow_scripts/make_baselines.py --baseline {wildcards.baseline:q} --stimuli {input.stimuli:q} "
        "--train-stimuli {input.train_stimuli:q} --every {params.every:q} --seed {params.seed:q} "
        "--settings {params.settings:q} --out {output:q} 2> >(tee {log:q} >&2)"


rule score:
    input:
        decoded=scored_clips,
        retrieved=retrieved_clips,
        stimuli=test_files(results("prepare_stimuli/{batch}.safetensors")),
        train_stimuli=train_files(results("prepare_stimuli/{batch}.safetensors")),
        latents=test_files(results("encode_latents/{batch}.safetensors")) if "vae" in CONDITIONS else [],
        stable_diffusion=MODEL_FILES["stable_diffusion"],
        networks=[MODEL_FILES[name] for name in SCORING_NETWORKS],
    output:
        scores=of_experiment("scores.tsv"),
        clip_scores=of_experiment("clip_scores.tsv"),
    log:
        log_file("score/sub-{subject}_{method}_{experiment}"),
    benchmark:
        benchmark_file("score/sub-{subject}_{method}_{experiment}")
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
        "python workflow_scripts/score.py --decoded {input.decoded:q} {input.retrieved:q} --stimuli {input.stimuli:q} "
        "--train-stimuli {input.train_stimuli:q} --latents {input.latents:q} "
        "--stable-diffusion {params.stable_diffusion:q} --networks {params.networks:q} "
        "--seed {params.seed:q} --dataset {params.dataset:q} --subject {wildcards.subject:q} --method {params.method:q} --experiment {wildcards.experiment:q} "
        "--settings {params.settings:q} --cache {params.cache:q} --out {output.scores:q} "
        "--clip-scores {output.clip_scores:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


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
            clips=[of_experiment(f"clips/{movie}.mp4") for movie in TEST],
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
            controls=[of_experiment(path) for path in control_strips(method)],
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
            "python workflow_scripts/show_clips.py --decoded {input.decoded:q} --stimuli {input.stimuli:q} "
            "--clip-scores {input.clip_scores:q} --name {params.name:q} --seed {params.seed:q} "
            "--settings {params.settings:q} --out-clips {output.clips:q} --out-strips {output.strips:q} "
            "--controls {input.controls:q} --out-controls {output.controls:q} 2> >(tee {log:q} >&2)"
