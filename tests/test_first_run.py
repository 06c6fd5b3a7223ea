"""What the first run of a study decided stays so, whatever the machine's settings or folders say later."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from neurocine.datasets.hcp_rest import rest_run
from neurocine.errors import InputError
from neurocine.first_run import FirstRun, batches
from neurocine.study import Study, find_rest_runs, keep_rest_runs, kept_rest_runs
from test_study import config

RUN = "rfMRI_REST1_LR"


def test_batches_of_the_first_run_stay_while_all_their_movies_are_asked_for() -> None:
    first = batches(["seg1", "seg2", "seg3"], 2, ())
    assert batches(["seg1", "seg2", "seg3"], 1, (), first) == first
    more = batches(["seg0", "seg1", "seg2", "seg3", "seg4"], 1, (), first)
    assert list(more.values()) == [["seg0"], ["seg1", "seg2"], ["seg3"], ["seg4"]]
    assert list(batches(["seg1", "seg3"], 2, (), first).values()) == [["seg1"], ["seg3"]]


def test_decisions_of_several_configs_are_kept_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "first_run.json"
    assert FirstRun.read(path) == FirstRun()
    FirstRun().write(path)
    assert not path.exists()
    one = FirstRun().with_batches({"a-b": ["a", "b"]}, {"1": ["1"]})
    one.with_batches({"c": ["c"]}, {}).with_rest_subjects([RUN], ["1"]).write(path)
    found = FirstRun.read(path)
    assert found.batches == {"a-b": ["a", "b"], "c": ["c"]}
    assert found.rest_subjects == {RUN: ["1"]}
    before = path.stat().st_mtime_ns
    found.write(path)
    assert path.stat().st_mtime_ns == before
    path.write_text('{"batch": 1}')
    with pytest.raises(InputError, match=r"first_run\.json: found .*batch.* Restore the file"):
        FirstRun.read(path)


def real(folder: Path, **rest: Any) -> dict[str, Any]:
    """The published study with rest runs in a folder."""
    return config("config.yaml", rest={"dir": str(folder), **rest})


def add(folder: Path, *names: str) -> None:
    for name in names:
        path = rest_run(folder, name, RUN)
        path.parent.mkdir(parents=True)
        path.touch()


def decided(study: dict[str, Any], first: FirstRun) -> FirstRun:
    """What a run with jobs of rest subjects decides."""
    return Study.find(study, ("rest",), first).decided({"rest_batch"})


def test_rest_subjects_are_those_of_the_first_run(tmp_path: Path) -> None:
    add(tmp_path, "100307", "100408", "100610")
    first = decided(real(tmp_path, exclude=[100610], subjects_per_job=1), FirstRun())
    assert list(first.rest_batches) == ["100307", "100408"]
    add(tmp_path, "100206")  # a download that goes on
    study = Study.find(real(tmp_path, exclude=[100610]), ("rest",), first)
    assert list(study.rest) == ["100307", "100408"]
    assert list(study.rest_batches) == ["100307", "100408"]
    # What was left out by name comes back with its name.
    assert list(find_rest_runs(real(tmp_path), first)) == ["100307", "100408", "100610"]
    assert list(find_rest_runs(real(tmp_path))) == ["100206", "100307", "100408", "100610"]
    # Of other runs nothing was decided.
    with pytest.raises(InputError, match="rest runs"):
        find_rest_runs(real(tmp_path, runs=["rfMRI_REST2_LR"]), first)
    shutil.rmtree(tmp_path / "100307")
    with pytest.raises(InputError, match=r"1 files are missing.*(.|\n)*100307"):
        find_rest_runs(real(tmp_path), first)


def test_nothing_is_decided_by_a_run_without_such_jobs(tmp_path: Path) -> None:
    add(tmp_path, "100307")
    study = Study.find(real(tmp_path), ("rest",))
    assert study.decided({"subject", "network"}) == FirstRun()


def test_each_folder_of_rest_runs_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(tmp_path, *(str(100300 + number) for number in range(7)))
    listed: list[Path] = []
    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: listed.append(self) or iterdir(self))
    assert len(find_rest_runs(real(tmp_path))) == 7
    assert len(listed) == len(set(listed)) == 1 + 7


def test_jobs_take_the_rest_runs_that_the_start_of_the_run_found(tmp_path: Path) -> None:
    add(tmp_path / "hcp", "100307")
    study, kept = real(tmp_path / "hcp"), tmp_path / "rest_files.json"
    assert kept_rest_runs(study, kept) is None
    keep_rest_runs(study, find_rest_runs(study), kept)
    found = kept_rest_runs(study, kept)
    assert found == find_rest_runs(study)
    shutil.rmtree(tmp_path / "hcp")  # nobody looks
    assert Study.find(study, ("rest",), FirstRun(), found).rest == found
    assert kept_rest_runs(real(tmp_path / "hcp", exclude=[100307]), kept) is None
    kept.write_text(json.dumps([]))
    assert kept_rest_runs(study, kept) is None
