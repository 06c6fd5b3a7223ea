"""Command lines of programs, and disks that refuse: one message that says so, whoever noticed it."""

import errno
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors import SafetensorError

from neurocine.cli import program
from neurocine.errors import EXIT_BAD_INPUT

FULL = os.strerror(errno.ENOSPC)


def run(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a program that ends with this error from its command line."""

    def main(*, out: Path) -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["save_all.py", "--out", "x"])
    program(main)()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, FULL, "results/a"), f"results/a: found {FULL}"),
        (
            OSError(errno.EROFS, "Read-only file system", "results/a"),
            "results/a: found Read-only file system",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "results"), "results: found Permission denied"),
        # As safetensors words it.
        (
            SafetensorError(f"Error while serializing: I/O error: {FULL} (os error {errno.ENOSPC})"),
            f"disk: found {FULL}",
        ),
    ],
)
def test_a_disk_that_refuses_is_one_message(
    error: Exception,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(error, monkeypatch)
    assert ended.value.code == EXIT_BAD_INPUT
    said = capfd.readouterr().err
    assert expected in said
    assert "rerun the same command" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("error", [OSError(errno.EBADF, "Bad file descriptor", "a"), KeyError("a")])
def test_other_errors_keep_their_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(type(error)):
        run(error, monkeypatch)


@pytest.fixture(autouse=True)
def keep_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program sends its log to standard error; other tests have theirs."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])


@dataclass(frozen=True)
class Tables:
    """Tables that belong together.

    Parameters
    ----------
    scores : of all
    others : of some
    """

    scores: Sequence[Path]
    others: Sequence[Path] = ()


def test_the_fields_of_a_group_are_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    def main(*, tables: Tables, out: Path, name: str = "page") -> None:
        seen.append((list(tables.scores), list(tables.others), out, name))

    lists = tmp_path / "lists.json"
    lists.write_text(json.dumps({"scores": ["a b", "c"], "others": []}))
    for words in (["--scores", "a b", "c"], ["--arguments", str(lists)]):
        monkeypatch.setattr(sys, "argv", ["save_all.py", *words, "--out", "x"])
        program(main)()
    assert seen == [([Path("a b"), Path("c")], [], Path("x"), "page")] * 2
    monkeypatch.setattr(sys, "argv", ["save_all.py", "--others", "a", "--out", "x"])
    with pytest.raises(SystemExit):
        program(main)()
    assert "--scores" in capsys.readouterr().err
