"""Commands and files that the documents name exist."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OURS = (
    "Snakefile",
    "rules/",
    "envs/",
    "workflow_scripts/",
    "slurm/",
    "schemas/",
    "studies/",
    "tests/",
    "docs/",
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"^ *make ([\w-]+)", page.read_text(), re.MULTILINE):
        assert target in targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_paths_exist(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (page.parent / link).exists(), link
    for path in re.findall(r"`([\w.-]+/[\w./-]+)`", text):
        if path.startswith(OURS):
            assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_snakemake_targets_and_configs_exist(page: Path) -> None:
    text = "".join(path.read_text() for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")])
    known = set(re.findall(r"^ *rule (\w+):", text, re.MULTILINE)) | {"sub_1", "sub_2", "sub_3"}
    for line in re.findall(r"^ *snakemake (.*)$", page.read_text(), re.MULTILINE):
        words = re.sub(r"\s+#.*", "", line).split()
        for word in words:
            if word.endswith(".yaml") and "/" in word:
                assert (ROOT / word).is_file(), word
        first = words[0]
        assert first.startswith(("-", "results/")) or first in known, line


def test_config_page_has_a_heading_for_every_section() -> None:
    schema = yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text())
    headings = set(re.findall(r"^## (\w+)$", (ROOT / "docs/config.md").read_text(), re.MULTILINE))
    assert headings == {key for key, node in schema["properties"].items() if node.get("x-step")}
