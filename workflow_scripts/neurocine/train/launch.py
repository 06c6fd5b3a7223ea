"""How torchrun has to treat the processes of a training. Light: the Snakefile imports this for every job."""

# Options of torchrun, in the form in which it reads them from the environment. By default SIGUSR1, which
# Slurm sends before the time limit, ends the launcher alone, and after 30 s processes are killed that still
# save.
LAUNCHER_ENVIRONMENT = {
    "PET_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
    "PET_SHUTDOWN_TIMEOUT": "300",  # seconds
}
