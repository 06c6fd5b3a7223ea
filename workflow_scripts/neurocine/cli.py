"""Turn a typed function into a command-line program with named arguments, one log and clear errors.

A program of the workflow is a module with one function ``main``::

    @program
    def main(*, frames: list[Path], settings: EncodeLatentsSettings, out: Path) -> None:
        '''Encode the frames of every clip with the VAE.

        Parameters
        ----------
        frames : files of prepare_stimuli
        settings : section encode_latents of the config, as JSON
        out : latents, fp16
        '''

    if __name__ == "__main__":
        main()

Each parameter becomes ``--name``. A parameter without a default is required. Settings are given as a JSON
object (or ``@file.json``), checked as strictly as the config of a study. A parameter that is a dataclass is a
group: each of its fields becomes ``--name``.
"""

import argparse
import ctypes
import dataclasses
import errno
import functools
import inspect
import json
import logging
import os
import re
import sys
import time
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from neurocine.errors import EXIT_BAD_INPUT, InputError
from neurocine.settings import is_settings, parse_settings

Item = TypeVar("Item")
ARGUMENTS = "--arguments"
PROGRESS_SECONDS = 15.0  # between two plain progress lines in a log
# What a file system answers that refuses: full, quota used up, mounted read-only, no right to read or write,
# no such place, a folder in place of a file or the reverse, a loop of links, a name too long, a failing disk.
DISK_REFUSES = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG),
    *(errno.EIO, errno.ESTALE, errno.EFBIG, errno.ENOTEMPTY),
)
# Of glibc's malloc.h: the parameters of mallopt and the values given to them.
KEEP_MEMORY = {"M_MMAP_THRESHOLD": (-3, 2**30), "M_TRIM_THRESHOLD": (-1, 2**31 - 1), "M_TOP_PAD": (-2, 2**26)}


def parameter_help(doc: str) -> dict[str, str]:
    """Read ``name : text`` entries of a docstring's Parameters section."""
    section = re.split(r"\n\s*Parameters\n\s*-+\n", doc)
    if len(section) < 2:
        return {}
    entries: dict[str, str] = {}
    name = ""
    for line in section[1].splitlines():
        entry = re.match(r"(\w+) : (.*)", line.strip())
        if entry:
            name = entry[1]
            entries[name] = entry[2]
        elif name and line.strip():
            entries[name] += " " + line.strip()
    return entries


def _add_argument(parser: argparse.ArgumentParser, name: str, hint: Any, default: Any, text: str) -> None:
    flag = "--" + name.replace("_", "-")
    options: dict[str, Any] = {"help": text, "dest": name}
    if default is inspect.Parameter.empty:
        options["required"] = True
    else:
        options["default"] = default
        if default not in (None, ()):
            options["help"] = f"{text} (default: {default})"
    inner = hint
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = next(kind for kind in typing.get_args(hint) if kind is not type(None))
    if inner is bool:
        options["action"] = argparse.BooleanOptionalAction
    elif typing.get_origin(inner) in (list, Sequence):
        options["type"] = typing.get_args(inner)[0]
        options["nargs"] = "*"
    elif is_settings(inner):
        options["type"] = str
        options["metavar"] = "JSON"
    else:
        options["type"] = inner
    parser.add_argument(flag, **options)


def build_parser(function: Callable[..., Any], prog: str) -> argparse.ArgumentParser:
    """Make the argument parser of a program from its signature and docstring."""
    doc = inspect.getdoc(function) or ""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=re.split(r"\n\s*Parameters\n", doc)[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    owners: list[Callable[..., Any]] = [function, *groups(function).values()]
    for owner in owners:
        texts, hints = parameter_help(inspect.getdoc(owner) or ""), typing.get_type_hints(owner)
        for name, parameter in inspect.signature(owner).parameters.items():
            if owner is not function or name not in groups(function):
                text = texts.get(name, "").replace("%", "%%")
                _add_argument(parser, name, hints[name], parameter.default, text)
    return parser


def groups(function: Callable[..., Any]) -> dict[str, type]:
    """Return the parameters of a program that are groups of arguments, and their dataclasses."""
    hints = typing.get_type_hints(function)
    return {
        name: hint
        for name, hint in hints.items()
        if isinstance(hint, type) and dataclasses.is_dataclass(hint) and not is_settings(hint)
    }


def with_groups(function: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Put parsed arguments that belong to a group into an object of its dataclass."""
    group_values: dict[str, Any] = {}
    for name, kind in groups(function).items():
        group_values[name] = kind(**{one.name: arguments.pop(one.name) for one in dataclasses.fields(kind)})
    return arguments | group_values


def start_logging(name: str) -> None:
    """Send plain lines ``time name message`` to standard error."""
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s {name}: %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
        force=True,
    )
    for noisy in ("httpx", "matplotlib", "PIL", "nibabel", "nibabel.global"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def keep_freed_memory() -> None:
    """Let glibc keep freed memory instead of returning it to the kernel after every large tensor.

    By default each tensor over 32 MB is mapped and unmapped anew; the page faults take 44 % of a step of a
    small convolutional network on a CPU (bench/bench_malloc.py). Other C libraries have no mallopt and are
    left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, value in KEEP_MEMORY.values():
            mallopt(parameter, value)


def disk_refusal(error: Exception) -> InputError | None:
    """Turn the error of a disk that refuses into a message; None for any other error.

    safetensors tells the system's error number in its text alone.
    """
    code = re.search(r"\(os error (\d+)\)", str(error))
    number = error.errno if isinstance(error, OSError) else int(code[1]) if code else None
    if number not in DISK_REFUSES:
        return None
    where = getattr(error, "filename", None) or "disk"
    expected = "room, and the right to read and write there"
    todo = "Fix the problem and rerun the same command: finished files are kept, trainings resume."
    return InputError(where, os.strerror(number), expected, todo)


def with_file(words: list[str]) -> list[str]:
    """Put the arguments of the file after ``--arguments`` in its place: JSON, name -> one or more values.

    Command lines have a limit, and lists of files grow with a study.
    """
    if ARGUMENTS not in words:
        return words
    place = words.index(ARGUMENTS)
    content = json.loads(Path(words[place + 1]).read_text(encoding="utf-8"))
    given: list[str] = []
    for name, value in content.items():
        flag = f"--{name.replace('_', '-')}"
        given += [f"{flag}={value}"] if isinstance(value, str) else [flag, *map(str, value)]
    return [*words[:place], *given, *words[place + 2 :]]


def program(function: Callable[..., None]) -> Callable[..., None]:
    """Wrap ``main``: called without arguments it parses the command line, logs, and reports bad input.

    Called with keyword arguments it is the plain function, so tests need no command line. Bad input, or a
    disk that refuses, ends with one message on standard error and exit code 2.
    """

    @functools.wraps(function)
    def run(**given: Any) -> None:
        if given:
            function(**given)
            return
        name = Path(sys.argv[0]).stem
        parser = build_parser(function, name)
        arguments = vars(parser.parse_args(with_file(sys.argv[1:])))
        start_logging(name)
        keep_freed_memory()
        hints = typing.get_type_hints(function)
        started = time.monotonic()
        try:
            for key, value in arguments.items():
                if is_settings(hints.get(key)) and isinstance(value, str):
                    arguments[key] = parse_settings(hints[key], value, f"--{key}")
            function(**with_groups(function, arguments))
        except Exception as error:
            problem = error if isinstance(error, InputError) else disk_refusal(error)
            if problem is None:
                raise
            logging.getLogger(name).error("ERROR %s", problem)
            raise SystemExit(EXIT_BAD_INPUT) from None
        logging.getLogger(name).info("done in %.1f s", time.monotonic() - started)

    return run


def progress(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Yield the items; show a bar on a terminal, a plain line every 15 s in a log."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=what)
        return
    log = logging.getLogger("progress")
    started = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS:
            last = now
            left = (now - started) / done * (total - done)
            log.info("%s %d/%d, about %.0f s left", what, done, total, left)
