"""How the processes of a training are started. Light: the Snakefile imports this for every job."""

# Options of torchrun, in the form in which it reads them from the environment. By default SIGUSR1, which
# Slurm sends before the time limit, ends the launcher alone, and after 30 s processes are killed that still
# save.
LAUNCHER_ENVIRONMENT = {
    "PET_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
    "PET_SHUTDOWN_TIMEOUT": "300",  # seconds
}


def launcher(gpus: int, nodes: int, threads: int) -> str:
    """Return the words of a shell that start a training before the name of its program.

    Parameters
    ----------
    gpus : GPUs of each node, one process each; without any, one process per node computes on the CPU
    nodes : nodes; several only inside a Slurm job of as many, whose first node runs this
    threads : CPU threads of the processes of one node
    """
    if nodes == 1:
        return f"torchrun --standalone --nproc-per-node {gpus}" if gpus > 1 else "python"
    # The port belongs to the job, because two jobs may have the same first node.
    place = "$(hostname):$((20000 + SLURM_JOB_ID % 10000))"
    meet = f"--rdzv-backend c10d --rdzv-id $SLURM_JOB_ID --rdzv-endpoint {place}"
    return (
        f"srun --nodes {nodes} --ntasks {nodes} --cpus-per-task {threads} --input none --kill-on-bad-exit=1 "
        f"torchrun --nnodes {nodes} --nproc-per-node {max(gpus, 1)} {meet}"
    )
