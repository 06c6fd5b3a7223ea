"""Which files belong to a subject, an experiment and a study."""

# Runs as they were recorded; of a package there are none.
RUN_TABLES = ["runs.tsv"] if FROM_RUNS else []


def with_repeats(experiments):
    """Experiments, each followed by those that are it trained again."""
    return list(studies.repeated_rows(config, experiments))


def compare_params(experiments):
    """The params of the comparison of these experiments."""
    return {
        "arguments": arguments_file(),
        "study": STUDY.facts(),
        "trained": json.dumps({"rows": studies.trained_rows(config, experiments)}, sort_keys=True),
        "networks": [f"{name}={folder}" for name, folder in SCORING_NETWORKS.items()],
        "seed": config["seed"],
        "settings": settings("compare_results"),
    }


def each_result(names, experiments, subjects=SUBJECTS):
    """Files of every subject under each experiment; ``names``, or a function of the method, tells which.

    ``subjects`` may be the wildcard of one.
    """
    taken = {}
    for experiment in experiments:
        method = method_of(EXPERIMENTS[experiment])
        for name in names(method) if callable(names) else names:
            taken.setdefault(name, []).append((method.name, experiment))
    return [
        of_experiment(name).format(subject=subject, method=method, experiment=experiment)
        for name, owners in taken.items()
        for subject in subjects
        for method, experiment in owners
    ]


def subject_results(subject, experiment):
    """All that one subject gets under one experiment."""
    method = method_of(EXPERIMENTS[experiment])
    found = [
        of_experiment(name).format(subject=subject, method=method.name, experiment=experiment)
        for name in result_names.result_files(config, method)
    ]
    further = [*method.further(EXPERIMENTS[experiment]), "noise_ceiling.tsv", *RUN_TABLES]
    return [*found, *(of_subject(name).format(subject=subject) for name in further)]


def study_results(experiments, part=""):
    """The results of all subjects, the tables and the page that shows them."""
    each = [subject_results(subject, name) for subject in SUBJECTS for name in experiments]
    return [
        *sum(each, []),
        results(f"{part}tables/scores.tsv"),
        *(results(f"{part}tables/{name}.tsv") for name in ("results", "comparisons", "published")),
        results(f"{part}browser"),
    ]


def training_logs(experiments, subjects=SUBJECTS):
    """The logs of all trainings behind these experiments of subjects, or of the wildcard of one."""
    place = {"study": results, "subject": of_subject, "vertices": of_vertices}
    found = studies.trainings_behind(config, experiments)
    logs = [place[training.of](f"{training.folder}/log.jsonl") for training in found]
    return sorted(set(expand(logs, subject=subjects)))


def feature_scores(experiments, subjects=SUBJECTS):
    """The scores of features that experiments share, of subjects or of the wildcard of one."""
    names = [name for one in experiments for name in method_of(EXPERIMENTS[one]).further(EXPERIMENTS[one])]
    tables = [name for name in dict.fromkeys(names) if name.startswith("score_features/")]
    return [of_subject(name).format(subject=subject) for name in tables for subject in subjects]


def maps_of(method):
    return result_names.result_maps(config, method)


def tables_of(method):
    return method.tables(config)


def agreement_of(method):
    return result_names.evaluation_tables(config, "agree_fmri")


def order_of(method):
    return result_names.evaluation_tables(config, "test_order")


def areas_of(method):
    return result_names.area_tables(config, method)


def exports_of(method):
    return method.exports(config)


def controls_of(method):
    return result_names.control_strips(config, method)


def shown_files(experiments, subjects):
    """All that show_clips makes of these results, by the names of the page's program.

    Pages take one file of each job as input and are given the others in their arguments: in a large study these are
    most of all files, each of which takes Snakemake time at every start.
    """
    return {
        "strips": each_result(STRIPS, experiments, subjects),
        "controls": each_result(controls_of, experiments, subjects),
        "clips": each_result(result_names.clip_films(config), experiments, subjects),
    }


def page_params(experiments):
    """The params of a page that shows these experiments, of one subject where the rule has that wildcard."""

    def listed(wildcards, input):
        subjects = [wildcards.subject] if "subject" in wildcards.keys() else SUBJECTS
        return named_inputs(wildcards, input) | shown_files(experiments, subjects)

    def made(wildcards):
        return results(f"sub-{wildcards.subject}" if "subject" in wildcards.keys() else ".")

    return {
        "arguments": arguments_file(listed),
        "config": json.dumps(fit_to_share(config), sort_keys=True),
        "benchmarks": f"benchmarks/{DATASET}",
        "made": made,
        "settings": settings("build_browser"),
    }
