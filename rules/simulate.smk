"""The simulated world: movies, fMRI and rest runs in the layouts of the recorded data."""

if SIMULATED:

    TRUTH = f"{config['data_dir']}/truth"
    VIDEOS = STUDY.videos(MOVIES)
    SCRIPTS = [f"{TRUTH}/{movie}.tsv" for movie in MOVIES]
    # Only drawn movies have scripts that say what is shown; brains see image features of natural ones.
    SHOWN_SCRIPTS = [] if config["simulate_movies"]["sources"] else SCRIPTS

    rule simulate_movies:
        output:
            videos=VIDEOS,
            scripts=SCRIPTS,
        log:
            log_file("simulate_movies/simulate_movies"),
        benchmark:
            benchmark_file("simulate_movies/simulate_movies")
        conda:
            "../envs/fmri.yaml"
        resources:
            mem_mb=memory(8),
            runtime=minutes(60),
        params:
            train_movies=TRAIN,
            seed=config["seed"],
            settings=settings("simulate_movies"),
        shell:
            'python "$NEUROCINE/simulate_movies.py" --train-movies {params.train_movies:q} '
            "--seed {params.seed:q} --settings {params.settings:q} --out {output.videos:q} "
            "--scripts {output.scripts:q} 2> >(tee {log:q} >&2)"

    # One rule per subject, because how many runs a subject has differs.
    for subject in SUBJECTS if FROM_RUNS else []:

        rule:
            name:
                f"simulate_subject_{subject}"
            input:
                videos=VIDEOS,
                scripts=SHOWN_SCRIPTS,
            output:
                runs=[str(run.path) for run in STUDY.found.runs if run.subject == subject],
                truth=f"{TRUTH}/sub-{subject}.safetensors",
            log:
                log_file(f"simulate_subject/sub-{subject}"),
            benchmark:
                benchmark_file(f"simulate_subject/sub-{subject}")
            conda:
                "../envs/fmri.yaml"
            resources:
                mem_mb=memory(16),
                runtime=minutes(120),
            params:
                subject=subject,
                recordings=[run.recording.text() for run in STUDY.found.runs if run.subject == subject],
                train_movies=TRAIN,
                seed=config["seed"],
                settings=settings("simulate_subject"),
            shell:
                'python "$NEUROCINE/simulate_subject.py" --subject {params.subject:q} '
                "--videos {input.videos:q} --scripts {input.scripts:q} --train-movies {params.train_movies:q} "
                "--seed {params.seed:q} --settings {params.settings:q} --out {output.runs:q} "
                "--recordings {params.recordings:q} --truth {output.truth:q} 2> >(tee {log:q} >&2)"

    # One job for all: a check waits for the first file of those that it looks at, as with movies and subjects.
    if REST:

        rule simulate_rest:
            output:
                EVERY_REST_RUN,
            log:
                log_file("simulate_rest/simulate_rest"),
            benchmark:
                benchmark_file("simulate_rest/simulate_rest")
            conda:
                "../envs/fmri.yaml"
            resources:
                mem_mb=memory(8),
                runtime=minutes(60),
            params:
                subjects=[subject for subject, files in REST.items() for _ in files],
                seed=config["seed"],
                settings=settings("simulate_rest"),
            shell:
                'python "$NEUROCINE/simulate_rest.py" --subjects {params.subjects:q} --seed {params.seed:q} '
                "--settings {params.settings:q} --out {output:q} 2> >(tee {log:q} >&2)"
