"""Which code wrote a file: the commit of a checkout, and whether it was edited."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurocine import __version__
from neurocine.provenance import header
from neurocine.stimuli.latents import EncodeLatentsSettings
from neurocine.version import code_version

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *words: str) -> str:
    given = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org", *words]
    return subprocess.run(given, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/a.smk").write_text("one")
    (tmp_path / "config.yaml").write_text("seed: 1")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    code_version.cache_clear()
    yield tmp_path
    code_version.cache_clear()


@needs_git
def test_a_checkout_names_its_commit(checkout: Path) -> None:
    assert code_version(checkout) == f"{__version__}+g{git(checkout, 'rev-parse', '--short=10', 'HEAD')}"


@needs_git
def test_the_checkout_of_somebody_else_names_its_commit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an installation that a lab shares, where git tells other people nothing by default."""
    commit = git(checkout, "rev-parse", "--short=10", "HEAD")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch for such tests
    with pytest.raises(subprocess.CalledProcessError):
        git(checkout, "status")
    assert code_version(checkout) == f"{__version__}+g{commit}"


@needs_git
def test_edited_code_is_marked_an_edited_config_is_not(checkout: Path) -> None:
    (checkout / "config.yaml").write_text("seed: 2")
    (checkout / "results").mkdir()
    assert not code_version(checkout).endswith(".dirty")
    code_version.cache_clear()
    (checkout / "rules/a.smk").write_text("two")
    assert code_version(checkout).endswith(".dirty")


def test_without_git_the_version_stands_alone(tmp_path: Path) -> None:
    # Also inside another repository: only a checkout's own commit counts.
    assert code_version(tmp_path) == __version__


def test_every_header_names_the_code() -> None:
    assert header("encode_latents", EncodeLatentsSettings(), [])["version"] == code_version()
