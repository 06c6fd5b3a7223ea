"""A Slurm cluster on this machine, to be broken on purpose: real daemons, three nodes, no real GPUs.

    python tests/cluster/slurm_cluster.py start [--no-accounting]    as root; names missing packages
    export SLURM_CONF=/tmp/neurocine-slurm/etc/slurm.conf            for sinfo, sbatch and snakemake
    python tests/cluster/slurm_cluster.py status
    python tests/cluster/slurm_cluster.py stop

Everything lives in one folder and in processes of its own; no Slurm of the machine is touched, no systemd
needed. Nodes run where no route leads out, and each in its own process namespace, so that one can lose
power: everything on it ends at once.

    partition  nodes         time    what for
    cpu        cpu1          1 day   jobs without GPU
    gpu        gpu1, gpu2    1 day   two GPUs each (type fake, devices that read as empty); may be preempted
    urgent     gpu1, gpu2    1 day   its jobs push those in gpu aside
    brief      gpu1, gpu2    1 min   a day in a minute
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

FOLDER = Path("/tmp/neurocine-slurm")
HOST = socket.gethostname().partition(".")[0]
PACKAGES = ("slurm-wlm", "slurmdbd", "mariadb-server", "munge", "iproute2")
PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "mariadbd", "mariadb-install-db", "munged", "ip", "unshare")
NODES = {"cpu1": 0, "gpu1": 2, "gpu2": 2}  # name: GPUs
CPUS, MEMORY = 4, 64000  # of each node, as declared: what the machine has does not matter
CONTROLLER_PORT, DATABASE_PORT, NODE_PORT = 16817, 16819, 16830
BRIEF = 1  # minutes, the time limit of a partition
SMALL_DISK = 16 * 2**20  # bytes
NETWORK = "neurocine"  # the network namespace of the nodes
OUTSIDE, INSIDE = "10.213.117.1", "10.213.117.2"  # the two ends of its only cable
ENVIRONMENT = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


class ClusterError(RuntimeError):
    """The cluster cannot be started, or does not do what it is asked."""


def missing() -> str:
    """Say what keeps a cluster from running here, or nothing."""
    if os.geteuid() != 0:
        return "a cluster of one's own takes root"
    if absent := [name for name in PROGRAMS if shutil.which(name, path=ENVIRONMENT["PATH"]) is None]:
        return (
            f"not installed: {', '.join(absent)}. On Debian or Ubuntu:\n"
            f"    apt-get install --no-install-recommends {' '.join(PACKAGES)}"
        )
    return ""


def born(pid: int) -> str:
    """Return when a process started, in ticks; nothing for a process that has ended."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if state == "Z" else rest[18]


class Cluster:
    """The cluster in a folder. Its state is in files, so that another process can go on with it."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder, self.etc = folder, folder / "etc"
        self.conf = self.etc / "slurm.conf"
        self.small_disk = folder / "disk"  # of SMALL_DISK bytes, to be filled
        self.environment = ENVIRONMENT | {"SLURM_CONF": str(self.conf)}

    # --- processes ------------------------------------------------------------------------------------

    def _pid(self, name: str) -> int:
        """Return the number of a daemon that runs, else 0; a number given to another process is not ours."""
        try:
            pid, start = (self.folder / "pid" / name).read_text().split()
        except (FileNotFoundError, ValueError):
            return 0
        return int(pid) if born(int(pid)) == start else 0

    def _spawn(self, name: str, command: list[str], ready: Callable[[], bool], seconds: float = 40) -> None:
        """Start a daemon that stays in the foreground, and wait until it answers."""
        if not self._pid(name):
            with open(self.folder / "log" / f"{name}.out", "ab") as out:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.environment,
                    start_new_session=True,
                )  # fmt: skip
            (self.folder / "pid" / name).write_text(f"{process.pid} {born(process.pid)}")
        wait_for(ready, seconds, f"{name} does not answer", self.logs, alive=lambda: self._pid(name) > 0)

    def _end(self, name: str, number: int = signal.SIGTERM) -> None:
        """End a daemon, if need be by force."""
        for attempt in (number, signal.SIGKILL):
            if pid := self._pid(name):
                os.kill(pid, attempt)
            with contextlib.suppress(ChildProcessError, ClusterError):
                wait_for(lambda: not self._pid(name), 15, "")
                break
        (self.folder / "pid" / name).unlink(missing_ok=True)

    def call(self, *command: str, check: bool = True) -> str:
        """Run one of Slurm's commands and return what it prints."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        if check and done.returncode:
            raise ClusterError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def answers(self, *command: str) -> bool:
        """Tell whether a command ends well."""
        try:
            self.call(*command)
        except (ClusterError, subprocess.TimeoutExpired):
            return False
        return True

    def logs(self) -> str:
        """Return the ends of all logs."""
        tails = []
        for path in sorted((self.folder / "log").glob("*")):
            tails.append(f"== {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-8:]))
        return "\n".join(tails)

    # --- configuration --------------------------------------------------------------------------------

    def write_configuration(self, accounting: bool) -> None:
        """Write the files of Slurm and make the devices that stand for GPUs."""
        self.etc.mkdir(parents=True, exist_ok=True)
        self._write(self.conf, [*self._settings(), *self._storage(accounting), *self._nodes()])
        self._write(self.etc / "gres.conf", self._devices())
        self._write(self.etc / "cgroup.conf", ["CgroupPlugin=cgroup/v1"])
        if accounting:
            database = self.etc / "slurmdbd.conf"
            self._write(database, self._database())
            database.chmod(0o600)

    @staticmethod
    def _write(path: Path, lines: Sequence[str]) -> None:
        path.write_text("\n".join(lines) + "\n")

    def _settings(self) -> list[str]:
        """Where the daemons are and keep their files, and how they treat jobs."""
        return [
            "ClusterName=neurocine",
            f"SlurmctldHost={HOST}({OUTSIDE})",
            f"SlurmctldPort={CONTROLLER_PORT}",
            "SlurmUser=root",
            "AuthType=auth/munge",
            # The second makes a requeued job wait for seconds instead of two minutes.
            f"AuthInfo=socket={self.folder}/munge/socket,cred_expire=5",
            f"StateSaveLocation={self.folder}/controller",
            f"SlurmdSpoolDir={self.folder}/spool/%n",
            f"SlurmctldPidFile={self.folder}/run/slurmctld.pid",
            f"SlurmdPidFile={self.folder}/run/%n.pid",
            f"SlurmctldLogFile={self.folder}/log/slurmctld.log",
            f"SlurmdLogFile={self.folder}/log/%n.log",
            "SlurmdParameters=config_overrides",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "MpiDefault=none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_Core_Memory",
            "GresTypes=gpu",
            # Without control groups, memory is watched by looking every second.
            "JobAcctGatherType=jobacct_gather/linux",
            "JobAcctGatherFrequency=task=1",
            "JobAcctGatherParams=OverMemoryKill",
            "SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0",
            "SlurmdTimeout=10",
            "SlurmctldTimeout=10",
            "MessageTimeout=10",
            "BatchStartTimeout=20",
            "KillWait=30",  # Slurm's own default: what a job has between the first and the last signal
            "MinJobAge=7200",  # tests ask for jobs that ended long ago
            "ReturnToService=2",
            "PreemptType=preempt/partition_prio",
            "PreemptMode=REQUEUE",
        ]

    def _storage(self, accounting: bool) -> list[str]:
        """Where the controller sends what jobs used."""
        if not accounting:
            return ["AccountingStorageType=accounting_storage/none"]
        return [
            "AccountingStorageType=accounting_storage/slurmdbd",
            "AccountingStorageHost=127.0.0.1",
            f"AccountingStoragePort={DATABASE_PORT}",
            f"AccountingStoragePass={self.folder}/munge/socket",
            "AccountingStorageTRES=gres/gpu",
        ]

    @staticmethod
    def _nodes() -> list[str]:
        """The nodes and the partitions they make."""
        gpu_nodes = ",".join(name for name, gpus in NODES.items() if gpus)
        return [
            *(
                f"NodeName={name} NodeHostname={HOST} NodeAddr={INSIDE} Port={NODE_PORT + number} "
                f"CPUs={CPUS} RealMemory={MEMORY}" + (f" Gres=gpu:fake:{gpus}" if gpus else "")
                for number, (name, gpus) in enumerate(NODES.items())
            ),
            "PartitionName=cpu Nodes=cpu1 Default=YES MaxTime=1440 PriorityTier=1 PreemptMode=OFF",
            f"PartitionName=gpu Nodes={gpu_nodes} MaxTime=1440 PriorityTier=1",
            f"PartitionName=urgent Nodes={gpu_nodes} MaxTime=1440 PriorityTier=2 PreemptMode=OFF",
            f"PartitionName=brief Nodes={gpu_nodes} MaxTime={BRIEF} PriorityTier=1 PreemptMode=OFF",
        ]

    def _devices(self) -> list[str]:
        """Make the devices that stand for GPUs and say where they are."""
        lines = []
        for name, gpus in NODES.items():
            folder = self.folder / "devices" / name
            for number in range(gpus):
                folder.mkdir(parents=True, exist_ok=True)
                path = folder / f"gpu{number}"
                if not path.exists():
                    os.mknod(path, 0o666 | 0o020000, os.makedev(1, 3))
            if gpus:
                lines.append(f"NodeName={name} Name=gpu Type=fake File={folder}/gpu[0-{gpus - 1}]")
        return lines

    def _database(self) -> list[str]:
        """The daemon between the controller and the database."""
        return [
            "AuthType=auth/munge",
            f"AuthInfo=socket={self.folder}/munge/socket",
            "DbdHost=localhost",
            "DbdAddr=127.0.0.1",
            f"DbdPort={DATABASE_PORT}",
            "SlurmUser=root",
            f"PidFile={self.folder}/run/slurmdbd.pid",
            f"LogFile={self.folder}/log/slurmdbd.log",
            "StorageType=accounting_storage/mysql",
            "StorageHost=localhost",
            "StorageUser=root",
            "StorageLoc=accounting",
        ]

    # --- start and stop -------------------------------------------------------------------------------

    def start(self, accounting: bool = True) -> None:
        """Start every daemon and wait until all nodes take jobs.

        Raises
        ------
        ClusterError : not root, a package is missing, or a daemon does not come up (its log is told)
        """
        if problem := missing():
            raise ClusterError(problem)
        self.stop()
        for name in ("pid", "log", "run", "controller", "spool", "devices"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self.write_configuration(accounting)
        self._start_munge()
        if accounting:
            self._start_database()
        self._lay_cable()
        # Before the nodes start: what is mounted later, they do not see.
        self.small_disk.mkdir(exist_ok=True)
        self.call("mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(self.small_disk))
        self.controller_up()
        for name in NODES:
            self.node_up(name, wait=False)
        wait_for(lambda: all(map(self.node_is_up, NODES)), 60, "not all nodes came up", self.logs)

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        folder.mkdir(mode=0o755, exist_ok=True)
        key = folder / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        names = {
            "key-file": "key",
            "socket": "socket",
            "pid-file": "pid",
            "seed-file": "seed",
            "log-file": "log",
        }
        options = [f"--{option}={folder / name}" for option, name in names.items()]
        ask = ["munge", "--no-input", f"--socket={folder / 'socket'}"]
        self._spawn("munged", ["munged", "--foreground", "--force", *options], lambda: self.answers(*ask))

    def _start_database(self) -> None:
        data = self.folder / "database"
        data.mkdir(exist_ok=True)
        root = ["--auth-root-authentication-method=socket", "--auth-root-socket-user=root"]
        where = ["--no-defaults", "--user=root", f"--datadir={data}"]
        # By force: the name of the machine need not be known to any resolver.
        self.call("mariadb-install-db", "--force", *where, *root, "--skip-test-db")
        self.environment["MYSQL_UNIX_PORT"] = str(data / "socket")
        small = ["--skip-networking", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M"]
        fast = ["--innodb-flush-log-at-trx-commit=0", "--innodb-lock-wait-timeout=900"]
        socket_option = f"--socket={data / 'socket'}"
        ping = ["mariadb-admin", "--no-defaults", socket_option, "ping"]
        command = ["mariadbd", *where, socket_option, *small, *fast]
        self._spawn("mariadbd", command, lambda: self.answers(*ping))
        show = ["sacctmgr", "--noheader", "--immediate", "show", "cluster"]
        self._spawn("slurmdbd", ["slurmdbd", "-D"], lambda: self.answers(*show))
        make = ["sacctmgr", "--quiet", "--immediate", "add"]
        self.call(*make, "cluster", "neurocine")
        self.call(*make, "account", "lab", "Cluster=neurocine")
        self.call(*make, "user", "root", "Account=lab", "Cluster=neurocine")

    def _lay_cable(self) -> None:
        """Make the nodes' network: its own loopback and a cable to the controller, no route further."""
        ends = (f"{NETWORK}0", f"{NETWORK}1")
        self.call("ip", "netns", "add", NETWORK)
        self.call("ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", NETWORK)
        self.call("ip", "address", "add", f"{OUTSIDE}/30", "dev", ends[0])
        self.call("ip", "link", "set", ends[0], "up")
        self.call("ip", "-n", NETWORK, "address", "add", f"{INSIDE}/30", "dev", ends[1])
        for name in (ends[1], "lo"):
            self.call("ip", "-n", NETWORK, "link", "set", name, "up")

    def stop(self) -> None:
        """End every process of the cluster and forget its jobs; logs stay."""
        for name in NODES:
            self.node_down(name)
        for name in ("slurmctld", "slurmdbd", "mariadbd", "munged"):
            self._end(name)
        self.call("umount", "--lazy", str(self.small_disk), check=False)
        self.call("ip", "link", "delete", f"{NETWORK}0", check=False)
        self.call("ip", "netns", "delete", NETWORK, check=False)
        for name in ("controller", "spool", "database", "munge", "devices", "run", "etc"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    # --- accidents ------------------------------------------------------------------------------------

    def controller_up(self) -> None:
        """Start the controller; it goes on with the jobs it knew."""
        self._spawn("slurmctld", ["slurmctld", "-D", "-i"], lambda: self.answers("scontrol", "ping"))

    def controller_down(self) -> None:
        """Kill the controller, after the five seconds in which it writes down its jobs; they go on."""
        time.sleep(6)
        self._end("slurmctld", signal.SIGKILL)

    def node_up(self, name: str, wait: bool = True) -> None:
        """Switch a node on."""
        # Jobs see the cluster's files where Slurm looks for them, since their SLURM_ variables are removed.
        enter = ["ip", "netns", "exec", NETWORK, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        inside = f'mount --bind "{self.etc}" /etc/slurm && unset SLURM_CONF && slurmd -D -N {name} & wait'
        command = [*enter, "bash", "-c", inside]
        if wait:
            self._spawn(f"slurmd.{name}", command, lambda: self.node_is_up(name))
        else:
            self._spawn(f"slurmd.{name}", command, lambda: True)

    def node_down(self, name: str) -> None:
        """Pull a node's plug: its daemon and all its jobs end without a word."""
        self._end(f"slurmd.{name}", signal.SIGKILL)

    def node_is_up(self, name: str) -> bool:
        """Tell whether a node takes jobs."""
        state = self.call("sinfo", "--noheader", f"--nodes={name}", "--format=%T").split()
        return bool(state) and state[0] in ("idle", "mixed", "allocated", "completing")

    # --- jobs -----------------------------------------------------------------------------------------

    def jobs(self, states: str = "all") -> list[dict[str, str]]:
        """List the jobs that the controller knows; rule is with wildcards, limit and memory as asked for."""
        names = ("id", "state", "rule", "node", "folder", "run", "partition", "limit", "memory")
        out = self.call("squeue", "--noheader", f"--states={states}", "--format=%i|%T|%k|%N|%Z|%j|%P|%l|%m")
        return [dict(zip(names, line.split("|"), strict=True)) for line in out.splitlines()]

    def running(self, folder: Path, rule: str) -> dict[str, str] | None:
        """Find the running job of a rule in a folder."""
        for job in self.jobs("RUNNING"):
            if job["folder"] == str(folder) and job["rule"].startswith(f"rule_{rule}"):
                return job
        return None


def wait_for(
    done: Callable[[], object],
    seconds: float,
    problem: str,
    tell: Callable[[], str] = lambda: "",
    alive: Callable[[], bool] = lambda: True,
    every: float = 0.2,
) -> None:
    """Wait until ``done`` says so.

    Raises
    ------
    ClusterError : time is up, or what should make it happen is no longer alive
    """
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end or not alive():
            raise ClusterError(f"{problem}\n{tell()}")
        time.sleep(every)


@contextlib.contextmanager
def running_cluster(accounting: bool = True) -> Iterator[Cluster]:
    """Start a cluster for the time of the block."""
    cluster = Cluster()
    cluster.start(accounting)
    try:
        yield cluster
    finally:
        cluster.stop()


def main() -> None:
    """Start, stop or look at the cluster."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["start", "stop", "status", "logs"])
    parser.add_argument("--no-accounting", action="store_true", help="a site without slurmdbd")
    given = parser.parse_args()
    cluster = Cluster()
    try:
        if given.what == "start":
            cluster.start(not given.no_accounting)
            print(f"export SLURM_CONF={cluster.conf}")
        elif given.what == "stop":
            cluster.stop()
        elif given.what == "logs":
            print(cluster.logs())
        else:
            print(cluster.call("sinfo"), cluster.call("squeue", "--states=all"), sep="\n")
    except ClusterError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
