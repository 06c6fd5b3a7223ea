"""What differs between clusters: how GPUs are asked for and who pays. Included last, so that all rules are known."""

import signal

from neurocine import cluster, costs

# Slurm warns the processes of a job before its time is up. Only trainings listen; without this line the warning
# would end the shell and Snakemake around them. A program inherits that the signal is ignored.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
# A shell that is told to end waits for its program, which may be saving.
shell.prefix("set -euo pipefail; trap : TERM; ")

try:
    SITE = cluster.read_site(Path(workflow.basedir) / "slurm/site.yaml")
except InputError as error:
    raise WorkflowError(str(error)) from None


ASKED = {}  # stage, as its benchmarks are called -> what its jobs ask for
for site_rule in workflow.rules:
    gpus, nodes = asked(site_rule, "gpu"), asked(site_rule, "nodes") or 1
    if site_rule.benchmark:
        wish = site_rule.resources["mem_mb"]
        # An expression of --set-resources takes a job to be evaluated: not known here.
        known = not (wish.is_evaluable() and wish.raw)
        megabytes = wish.evaluate(None, attempt=1).value if known else 0
        ASKED[Path(site_rule.benchmark).parent.name] = costs.Asked(gpus * nodes, megabytes / 1000)
    for name, value in cluster.site_resources(SITE, gpus, nodes).items():
        if name == "gpu" or name not in site_rule.resources:
            site_rule.resources[name] = value


onstart:
    try:
        cluster.refuse_second_run(Path.cwd())
        # The executor has no such setting when jobs run on this machine.
        status_command = getattr(workflow.executor_settings, "status_command", None)
        if status_command == "squeue":
            cluster.check_status_memory()
        if status_command is None and ON_GPUS["nodes"] > 1:
            raise InputError(
                "compute.nodes",
                f"{ON_GPUS['nodes']} in a run on this machine alone",
                "1, or jobs on Slurm",
                "Add --profile slurm, or set compute.nodes: 1.",
            )
    except InputError as error:
        raise WorkflowError(str(error)) from None


onsuccess:
    print(
        costs.write_costs(Path(f"benchmarks/{DATASET}"), ASKED, Path(results("costs.tsv"))),
        file=sys.stderr,
    )
