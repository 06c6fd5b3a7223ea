"""What goes with shared results: a config without folders of this machine and without participants."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from neurocine.report.sections import settings_section
from neurocine.shared import fit_to_share
from workflow_copy import copy_workflow, snakemake

CONFIG = {
    "data_dir": "/home/alice/secret_study",
    "dataset": "toy",
    "models": {"clip": "/data/models/clip", "blip": "models/blip"},
    "rest": {"dir": "~/hcp", "subjects": [100307, 100408], "exclude": ["100610"], "runs": ["rfMRI_REST1_LR"]},
    "exclude_runs": [{"subject": "3", "reason": "/mnt/disk broke"}],
}


def test_folders_and_rest_subjects_are_left_out() -> None:
    before = copy.deepcopy(CONFIG)
    assert fit_to_share(CONFIG) == {
        "data_dir": "…/secret_study",
        "dataset": "toy",
        "models": {"clip": "…/clip", "blip": "models/blip"},
        "rest": {
            "dir": "…/hcp",
            "subjects": "2 subjects",
            "exclude": "1 subject",
            "runs": ["rfMRI_REST1_LR"],
        },
        "exclude_runs": [{"subject": "3", "reason": "…/disk broke"}],
    }
    assert before == CONFIG
    assert fit_to_share({"rest": {"subjects": "all", "exclude": []}})["rest"]["subjects"] == "all"


def test_the_page_lists_no_participants() -> None:
    page = str(settings_section(CONFIG))
    assert "2 subjects" in page
    assert not any(word in page for word in ("100307", "100610", "alice", "/data/models"))


@pytest.mark.workflow
def test_what_snakemakes_report_shows_of_jobs_holds_neither(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It lists the params of jobs whose results it shows, among them those that get the whole config."""
    checkout = copy_workflow(tmp_path_factory.mktemp("checkout"))
    mine = {"data_dir": str(checkout / "secret_study"), "rest": {"subjects": [987654]}}
    (checkout / "mine.yaml").write_text(yaml.safe_dump(mine))
    configs = ["--configfile", "studies/toy/config.yaml", "mine.yaml"]
    run = snakemake(checkout, "-n", "-p", *configs)
    assert run.returncode == 0, run.stderr
    commands = [line for line in (run.stdout + run.stderr).splitlines() if " --config " in line]
    assert {Path(line.split(".py")[0]).name for line in commands} == {"write_methods", "build_browser"}
    for line in commands:
        assert json.dumps("…/secret_study")[1:-1] in line
        assert "987654" not in line
        assert str(checkout) not in line
