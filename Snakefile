"""From fMRI recorded during movies to reconstructed video. Start with README.md."""

from snakemake.utils import min_version

min_version("9.20")


include: "rules/folders.smk"


# The published study, and what differs in a study that lies in a folder of its own.
configfile: CHECKOUT / "config.yaml"


if not Path("config.yaml").resolve().is_relative_to(CHECKOUT) and Path("config.yaml").is_file():

    configfile: "config.yaml"


# Read with --sdm apptainer alone (docs/cluster.md).
container: of_checkout("neurocine.sif")


include: "rules/common.smk"
include: "rules/models.smk"
include: "rules/simulate.smk"
include: "rules/check.smk"
include: "rules/stimuli.smk"
include: "rules/fmri.smk"


for name in METHODS:

    include: f"rules/{name}.smk"


include: "rules/score.smk"
include: "rules/areas.smk"
include: "rules/report.smk"
include: "rules/toy_models.smk"


# Seconds of work, not worth a job on a cluster.
localrules:
    all,
    ablation,
    lag_sweep,
    check_models,
    measure_noise_ceiling,
    tabulate_scores,
    tabulate_ablation,
    compare_results,
    compare_ablation,
    write_methods,
    write_ablation_methods,
    build_browser,
    build_subject_browser,
    build_ablation_browser,


rule all:
    default_target: True
    input:
        study_results(config["run_experiments"]),
        expand(of_subject("browser"), subject=SUBJECTS),


rule ablation:
    input:
        study_results(config["ablation_experiments"], "ablation/"),


rule lag_sweep:
    input:
        results("tables/lag_sweep.tsv"),


for subject in SUBJECTS:

    rule:
        name:
            f"sub_{subject}"
        input:
            [subject_results(subject, name) for name in config["run_experiments"]],
            results(f"sub-{subject}/browser"),
        localrule: True


include: "rules/site.smk"
