"""Which areas of the brain a decoding method reads, whatever the method."""


include: "inputs/areas.smk"


rule rank_areas:
    input:
        networks=network_files(decoders_of),
        permuted=network_files(permuted_of),
        fmri_train=of_subject("assemble_train/fmri.safetensors"),
        fmri_test=of_subject("assemble_test/fmri.safetensors"),
        embeddings=test_files(results("embed_clips/{batch}.safetensors")),
        latents=test_files(results("encode_latents/{batch}.safetensors")),
        captions=test_files(results("caption_clips/{batch}.tsv")),
        vertices=VERTICES,
        noise_ceiling=of_subject("noise_ceiling.tsv"),
    output:
        table=of_experiment("rank_areas.tsv"),
        maps=of_experiment("maps/rank_areas.safetensors"),
    log:
        log_file("rank_areas/sub-{subject}_{method}_{experiment}"),
    benchmark:
        benchmark_file("rank_areas/sub-{subject}_{method}_{experiment}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=ONE_GPU,
        device=DEVICE,
        mem_mb=memory(32),
        runtime=minutes(240),
    params:
        networks=named_folders(decoders_of),
        permuted=named_folders(permuted_of),
        every=config["decode"]["every"],
        seed=config["seed"],
        score=settings("score"),
        settings=settings("rank_areas"),
    shell:
        'python "$NEUROCINE/rank_areas.py" --method {wildcards.method:q} --networks {params.networks:q} '
        "--permuted {params.permuted:q} --fmri-train {input.fmri_train:q} --fmri-test {input.fmri_test:q} "
        "--embeddings {input.embeddings:q} --latents {input.latents:q} --captions {input.captions:q} "
        "--vertices {input.vertices:q} --noise-ceiling {input.noise_ceiling:q} --every {params.every:q} "
        "--seed {params.seed:q} --score {params.score:q} --settings {params.settings:q} "
        "--out {output.table:q} --maps {output.maps:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule plot_areas:
    input:
        rules.rank_areas.output.maps,
    output:
        of_experiment("maps/rank_areas.png"),
    log:
        log_file("plot_areas/sub-{subject}_{method}_{experiment}"),
    benchmark:
        benchmark_file("plot_areas/sub-{subject}_{method}_{experiment}")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory(8),
        runtime=minutes(30),
    params:
        name="subject {subject}, {experiment}",
        fill="--fill-areas" if THINNED else "--no-fill-areas",
        surface=settings("plot_surface"),
        settings=settings("plot_areas"),
    shell:
        'python "$NEUROCINE/plot_areas.py" --areas {input:q} --settings {params.settings:q} '
        "--surface {params.surface:q} --name {params.name:q} {params.fill:q} --out {output:q} 2> >(tee {log:q} >&2)"
