"""NeuroCine: an encoder pretrained on rest and trained by contrast, a video prior, a decoder, what it decodes.

Its own rules; what is shared with other methods lies in the other files.
"""


include: "inputs/neurocine.smk"


NEUROCINE = METHODS["neurocine"]
# All experiments with the same key have the same parameters (the config check makes sure of it).
ENCODERS = studies.trainings(config, NEUROCINE, "train_encoder")
# Number of the null decoder of rank_areas, trained on fMRI of other times; 0: the decoder itself.
PERMUTATIONS = {
    permuted_key(key, number): (key, number)
    for key in ENCODERS
    for number in range(config["rank_areas"]["permuted"] + 1)
}
# Ridge regression's captions are sampled by it too.
PRIORS = {
    key: training
    for method in USED_METHODS
    for key, training in studies.trainings(config, method, "train_video_prior").items()
}


wildcard_constraints:
    encoder=one_of(PERMUTATIONS),
    prior=one_of(PRIORS),
    condition=f"({one_of(NEUROCINE.fmri_conditions)})(_seed[0-9]+)?",
    text=one_of(NEUROCINE.text_conditions),


PUBLISHED_ENCODER = config["pretrain_on"] == "published"
if config["pretrain_on"] == "rest":
    PRETRAIN_ON = expand(
        of_vertices("preprocess_hcp/{rest_batch}.safetensors"),
        rest_batch=STUDY.rest_batches,
        allow_missing=True,
    )
elif OWN_VERTICES:
    PRETRAIN_ON = [of_subject("assemble_train/fmri.safetensors")]
else:
    PRETRAIN_ON = expand(of_subject("assemble_train/fmri.safetensors"), subject=SUBJECTS)
PRETRAINED = of_vertices(
    f"{'import_encoder' if PUBLISHED_ENCODER else 'pretrain_encoder'}/encoder/model.safetensors"
)


if PUBLISHED_ENCODER:

    rule import_encoder:
        input:
            checkpoint=LOCATED["fmri_encoder"],
            vertices=VERTICES,
        output:
            config=of_vertices("import_encoder/encoder/config.json"),
            weights=of_vertices("import_encoder/encoder/model.safetensors"),
            tensors=of_vertices("import_encoder/tensors.tsv"),
            done=of_vertices("import_encoder/done.json"),
        log:
            log_file(f"import_encoder/{own('', 'import_encoder')}"),
        benchmark:
            benchmark_file(f"import_encoder/{own('', 'import_encoder')}")
        conda:
            "../envs/training.yaml"
        resources:
            mem_mb=memory(8),
            runtime=minutes(30),
        params:
            settings=settings("import_encoder"),
            out=output_folder("done"),
        shell:
            'python "$NEUROCINE/import_encoder.py" --checkpoint {input.checkpoint:q} '
            "--vertices {input.vertices:q} --settings {params.settings:q} --out {params.out:q} 2> >(tee {log:q} >&2)"

else:

    rule pretrain_encoder:
        input:
            shards=PRETRAIN_ON,
        output:
            config=of_vertices("pretrain_encoder/encoder/config.json"),
            weights=of_vertices("pretrain_encoder/encoder/model.safetensors"),
            log=of_vertices("pretrain_encoder/log.jsonl"),
            done=of_vertices("pretrain_encoder/done.json"),
        log:
            log_file(f"pretrain_encoder/{own('', 'pretrain_encoder')}"),
        benchmark:
            benchmark_file(f"pretrain_encoder/{own('', 'pretrain_encoder')}")
        conda:
            "../envs/training.yaml"
        threads: config["compute"]["threads"]
        resources:
            **ON_GPUS,
            mem_mb=memory(64),
            runtime=minutes(1440),
        params:
            arguments=arguments_file(),
            # Rest runs have seen no movie, so another one is no reason to pretrain again.
            train_movies=TRAIN if OWN_VERTICES or config["pretrain_on"] == "training_fmri" else [],
            seed=config["seed"],
            settings=settings("pretrain_encoder"),
            state=state_dir("pretrain_encoder/sub-{subject}" if OWN_VERTICES else "pretrain_encoder"),
            out=output_folder("done"),
        shell:
            '{resources.launcher} "$NEUROCINE/pretrain_encoder.py" --arguments {params.arguments:q} '
            "--train-movies {params.train_movies:q} --seed {params.seed:q} "
            "--settings {params.settings:q} --state {params.state:q} --out {params.out:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule train_encoder:
    input:
        fmri=of_subject("assemble_train/fmri.safetensors"),
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
        **ON_GPUS,
        mem_mb=memory(64),
        runtime=minutes(1440),
    params:
        pretrained=input_folder("pretrained"),
        train_movies=TRAIN,
        validation=config["movies"]["validation"],
        seed=lambda wildcards: training_seed(trained_encoder(wildcards)),
        settings=settings("train_encoder"),
        experiment=lambda wildcards: json.dumps(trained_encoder(wildcards).parameters),
        permutation=lambda wildcards: PERMUTATIONS[wildcards.encoder][1],
        state=state_dir("train_encoder/sub-{subject}_{encoder}"),
        out=output_folder("done"),
    shell:
        '{resources.launcher} "$NEUROCINE/train_encoder.py" --fmri {input.fmri:q} '
        "--train-movies {params.train_movies:q} "
        "--embeddings {input.embeddings:q} --pretrained {params.pretrained:q} --validation {params.validation:q} "
        "--seed {params.seed:q} --settings {params.settings:q} --experiment {params.experiment:q} --permutation {params.permutation:q} "
        "--state {params.state:q} --out {params.out:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule train_video_prior:
    input:
        latents=train_files(results("encode_latents/{batch}.safetensors")),
        embeddings=train_files(results("embed_clips/{batch}.safetensors")),
        stable_diffusion=MODEL_FILES["stable_diffusion"],
        start=lambda wildcards: MODEL_FILES[start_of_prior(wildcards)],
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
        start=lambda wildcards: str(MODELS[start_of_prior(wildcards)]),
        stable_diffusion=model_folder("stable_diffusion"),
        train_movies=TRAIN,
        validation=config["movies"]["validation"],
        noise_ratio=lambda wildcards: PRIORS[wildcards.prior].parameters["noise_ratio"],
        seed=lambda wildcards: training_seed(PRIORS[wildcards.prior]),
        settings=prior_settings,
        state=state_dir("train_video_prior/{prior}"),
        out=output_folder("done"),
    shell:
        '{resources.launcher} "$NEUROCINE/train_video_prior.py" --latents {input.latents:q} '
        "--train-movies {params.train_movies:q} "
        "--embeddings {input.embeddings:q} --start {params.start:q} --stable-diffusion {params.stable_diffusion:q} "
        "--validation {params.validation:q} --noise-ratio {params.noise_ratio:q} --seed {params.seed:q} "
        "--settings {params.settings:q} --state {params.state:q} --out {params.out:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule train_decoder:
    input:
        fmri=of_subject("assemble_train/fmri.safetensors"),
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
        noise_ratio=lambda wildcards: PRIORS[wildcards.prior].parameters["noise_ratio"],
        seed=lambda wildcards: training_seed(trained_encoder(wildcards)),
        settings=settings("train_decoder"),
        state=state_dir("train_decoder/sub-{subject}_{encoder}_{prior}"),
        out=output_folder("done"),
    shell:
        '{resources.launcher} "$NEUROCINE/train_decoder.py" --fmri {input.fmri:q} --latents {input.latents:q} '
        "--train-movies {params.train_movies:q} "
        "--encoder {params.encoder:q} --prior {params.prior:q} "
        "--stable-diffusion {params.stable_diffusion:q} --validation {params.validation:q} "
        "--noise-ratio {params.noise_ratio:q} --seed {params.seed:q} --settings {params.settings:q} "
        "--state {params.state:q} --out {params.out:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule decode:
    input:
        decoder=decoder_file("done.json"),
        unet=decoder_file("unet/diffusion_pytorch_model.safetensors"),
        encoder=decoder_file("encoder/model.safetensors"),
        fmri_train=of_subject("assemble_train/fmri.safetensors"),
        fmri_test=of_subject("assemble_test/fmri.safetensors"),
        stable_diffusion=MODEL_FILES["stable_diffusion"],
    output:
        kept("decoded", of_neurocine(f"{NEUROCINE.step}/{{condition}}.safetensors")),
    log:
        log_file("decode/sub-{subject}_{experiment}_{condition}"),
    benchmark:
        benchmark_file("decode/sub-{subject}_{experiment}_{condition}")
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
        decoder=input_folder("decoder"),
        stable_diffusion=model_folder("stable_diffusion"),
        noise_ratio=noise_ratio,
        seed=seed_of,
        condition=condition_of,
        settings=settings("decode"),
        state=state_dir("decode/sub-{subject}_{experiment}_{condition}"),
    shell:
        'python "$NEUROCINE/decode.py" --decoder {params.decoder:q} --fmri-train {input.fmri_train:q} '
        "--fmri-test {input.fmri_test:q} --stable-diffusion {params.stable_diffusion:q} "
        "--noise-ratio {params.noise_ratio:q} --seed {params.seed:q} --condition {params.condition:q} "
        "--settings {params.settings:q} --state {params.state:q} --out {output:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule decode_captions:
    input:
        prior=prior_file,
        embeddings=test_files(results("embed_clips/{batch}.safetensors")),
        training=drawn_captions,
        stable_diffusion=MODEL_FILES["stable_diffusion"],
    output:
        results(f"{NEUROCINE.name}/{{experiment}}/{NEUROCINE.step}/{{text}}.safetensors"),
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
        'python "$NEUROCINE/decode_captions.py" --prior {params.prior:q} --embeddings {input.embeddings:q} '
        "--condition {wildcards.text:q} --training {input.training:q} "
        "--stable-diffusion {params.stable_diffusion:q} --noise-ratio {params.noise_ratio:q} "
        "--seed {params.seed:q} --settings {params.settings:q} --state {params.state:q} --out {output:q} "
        "--device {resources.device:q} 2> >(tee {log:q} >&2)"


rule retrieve_clips:
    input:
        encoder=rules.train_encoder.output.weights,
        fmri=of_subject("assemble_test/fmri.safetensors"),
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
        device=DEVICE,
        mem_mb=memory(16),
        runtime=minutes(60),
    params:
        encoder=input_folder("encoder"),
        every=config["decode"]["every"],
        seed=config["seed"],
        settings=settings("retrieve_clips"),
    shell:
        'python "$NEUROCINE/retrieve_clips.py" --encoder {params.encoder:q} --fmri {input.fmri:q} '
        "--embeddings {input.embeddings:q} --stimuli {input.stimuli:q} --every {params.every:q} "
        "--seed {params.seed:q} --settings {params.settings:q} --out {output:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule decode_nearest:
    input:
        encoder=rules.train_encoder.output.weights,
        prior=rules.train_video_prior.output.weights,
        fmri=of_subject("assemble_test/fmri.safetensors"),
        embeddings=train_files(results("embed_clips/{batch}.safetensors")),
        stable_diffusion=MODEL_FILES["stable_diffusion"],
    output:
        of_subject("decode_nearest/{encoder}_{prior}.safetensors"),
    log:
        log_file("decode_nearest/sub-{subject}_{encoder}_{prior}"),
    benchmark:
        benchmark_file("decode_nearest/sub-{subject}_{encoder}_{prior}")
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
        encoder=input_folder("encoder"),
        prior=lambda wildcards, input: str(Path(input.prior).parents[1]),
        stable_diffusion=model_folder("stable_diffusion"),
        noise_ratio=lambda wildcards: PRIORS[wildcards.prior].parameters["noise_ratio"],
        seed=config["seed"],
        settings=settings("decode"),
        state=state_dir("decode_nearest/sub-{subject}_{encoder}_{prior}"),
    shell:
        'python "$NEUROCINE/decode_nearest.py" --encoder {params.encoder:q} --prior {params.prior:q} '
        "--fmri {input.fmri:q} --embeddings {input.embeddings:q} --stable-diffusion {params.stable_diffusion:q} "
        "--noise-ratio {params.noise_ratio:q} --seed {params.seed:q} --settings {params.settings:q} "
        "--state {params.state:q} --out {output:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule extract_attention:
    input:
        pretrained=PRETRAINED,
        contrastive=contrastive_file,
        full=decoder_file("encoder/model.safetensors"),
        fmri=of_subject("assemble_test/fmri.safetensors"),
        embeddings=test_files(results("embed_clips/{batch}.safetensors")),
        vertices=VERTICES,
    output:
        maps=of_neurocine("maps/attention.safetensors"),
        table=of_neurocine("attention.tsv"),
    log:
        log_file("extract_attention/sub-{subject}_{experiment}"),
    benchmark:
        benchmark_file("extract_attention/sub-{subject}_{experiment}")
    conda:
        "../envs/training.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=ONE_GPU,
        device=DEVICE,
        mem_mb=memory(32),
        runtime=minutes(120),
    params:
        pretrained=input_folder("pretrained"),
        contrastive=input_folder("contrastive"),
        full=input_folder("full"),
        seed=config["seed"],
        settings=settings("extract_attention"),
    shell:
        'python "$NEUROCINE/extract_attention.py" --pretrained {params.pretrained:q} '
        "--contrastive {params.contrastive:q} --full {params.full:q} --fmri {input.fmri:q} "
        "--embeddings {input.embeddings:q} --vertices {input.vertices:q} --seed {params.seed:q} "
        "--settings {params.settings:q} --out {output.maps:q} --table {output.table:q} --device {resources.device:q} 2> >(tee {log:q} >&2)"


rule plot_surface:
    input:
        rules.extract_attention.output.maps,
    output:
        overview=report(
            of_neurocine("maps/overview.png"),
            caption="captions/maps.rst",
            category="Subject {subject}",
            labels={"experiment": "{experiment}", "what": "brain maps"},
        ),
        others=[of_neurocine(name) for name in NEUROCINE.maps(config) if name != "maps/overview.png"],
    log:
        log_file("plot_surface/sub-{subject}_{experiment}"),
    benchmark:
        benchmark_file("plot_surface/sub-{subject}_{experiment}")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory(8),
        runtime=minutes(60),
    params:
        name="subject {subject}, {experiment}",
        out=output_folder("overview"),
        fill="--fill-areas" if THINNED else "--no-fill-areas",
        settings=settings("plot_surface"),
    shell:
        'python "$NEUROCINE/plot_surface.py" --attention {input:q} --settings {params.settings:q} '
        "--name {params.name:q} {params.fill:q} --out {params.out:q} 2> >(tee {log:q} >&2)"


rule export_maps:
    input:
        attention=rules.extract_attention.output.maps,
        agreement=evaluated("agree_fmri"),
        areas=evaluated("rank_areas"),
    output:
        maps=of_neurocine(export_names(config)[0]),
        described=of_neurocine(export_names(config)[1]),
        page=of_neurocine(export_names(config)[2]),
    log:
        log_file("export_maps/sub-{subject}_{experiment}"),
    benchmark:
        benchmark_file("export_maps/sub-{subject}_{experiment}")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory(8),
        runtime=minutes(30),
    params:
        name="subject {subject}, {experiment}",
        settings=settings("plot_surface"),
    shell:
        'python "$NEUROCINE/export_maps.py" --attention {input.attention:q} --settings {params.settings:q} '
        "--agreement {input.agreement:q} --areas {input.areas:q} --name {params.name:q} --out {output.maps:q} --page {output.page:q} 2> >(tee {log:q} >&2)"
