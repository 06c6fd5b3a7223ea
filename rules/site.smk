"""What differs between clusters: how GPUs are asked for and who pays. Included last, so that all rules are known."""

import signal

from snakemake.logging import logger

from neurocine import cluster, costs, partitions

# Slurm warns the processes of a job before its time is up. Only trainings listen; without this line the warning
# would end the shell and Snakemake around them. A program inherits that the signal is ignored.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
# A shell that is told to end waits for its program, which may be saving.
shell.prefix("set -euo pipefail; trap : TERM; ")

try:
    SITE = cluster.read_site(Path(of_checkout("slurm/site.yaml")))
except InputError as error:
    raise WorkflowError(str(error)) from None


include: "inputs/site.smk"


ASKED = {}  # stage, as its benchmarks are called -> what its jobs ask for
SHORTAGES = cluster.Shortages()
MISFITS = {}  # rule -> why no partition takes its jobs
# Of another workflow's rules, which may use these as a module, nothing is changed.
for site_rule in (rule for rule in workflow.rules if Path(rule.snakefile).is_relative_to(CHECKOUT)):
    gpus, nodes = asked(site_rule, "gpu"), asked(site_rule, "nodes") or 1
    if site_rule.benchmark:
        request = request_of(site_rule, gpus)
        gigabytes = 0 if request is None else request.mem_mb / 1000
        ASKED[Path(site_rule.benchmark).parent.name] = costs.Asked(gpus * nodes, gigabytes)
        if request is not None:
            fitted = partitions.fit(request, SITE.partitions)
            if fitted is None:
                MISFITS[site_rule.name] = partitions.misfit(request, SITE.partitions)
                fitted = request
            site_rule.resources["runtime"] = round(fitted.runtime)
            site_rule.resources["mem_mb"] = growing(fitted)
            chosen = partitions.choose(fitted, SITE.partitions) if SITE.own_partitions else None
            if chosen is not None and "slurm_partition" not in site_rule.resources:
                site_rule.resources["slurm_partition"] = chosen
    for name, value in cluster.site_resources(SITE, gpus, nodes).items():
        if name == "gpu" or name not in site_rule.resources:
            site_rule.resources[name] = value

if workflow.is_main_process and partitions.on_slurm(sys.argv, os.environ.get("SNAKEMAKE_PROFILE", "")):
    for problem in MISFITS.values():
        logger.warning(f"No partition of slurm/site.yaml takes {problem}")


onstart:
    started = list(workflow.dag.needrun_jobs())
    try:
        cluster.refuse_second_run(Path.cwd(), DATASET)
        cluster.name_jobs(workflow.scheduler._executor, DATASET)
        SHORTAGES.watch(workflow.scheduler._executor)
        # The executor has no such setting when jobs run on this machine.
        status_command = getattr(workflow.executor_settings, "status_command", None)
        if status_command == "squeue":
            cluster.check_status_memory()
        if status_command is not None:
            planned = {job.rule.name for job in started}
            misfits = [problem for name, problem in MISFITS.items() if name in planned]
            if misfits:
                raise InputErrors("Jobs of this run fit no partition", misfits)
        if status_command is None and ON_GPUS["nodes"] > 1:
            raise InputError(
                "compute.nodes",
                f"{ON_GPUS['nodes']} in a run on this machine alone",
                "1, or jobs on Slurm",
                "Add --profile slurm, or set compute.nodes: 1.",
            )
        # What jobs read that have no producer: only once nothing speaks against the run.
        STUDY.decided({name for job in started for name in job.wildcards_dict}).write(FIRST_RUN)
        if REST:
            studies.keep_rest_runs(config, REST, REST_FILES)
    except InputError as error:
        raise WorkflowError(str(error)) from None


onsuccess:
    print(
        costs.write_costs(Path(f"benchmarks/{DATASET}"), ASKED, Path(results("costs.tsv"))),
        file=sys.stderr,
    )
