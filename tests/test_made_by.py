"""Which code made the results of a study, and what brings those of another version up to date."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from neurocine import made_by
from neurocine.io import write_arrays
from neurocine.made_by import Made, describe, differs, group_versions, is_mixed, made_files, rerun
from neurocine.version import code_version, package_versions

NOW = "0.2.0+gbbbbbbbbbb"
PACKAGES = {"numpy": "2.4.6", "torch": "2.13.0"}


def write(path: Path, step: str, version: str, **packages: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {"step": step, "version": version, "packages": packages}
    if path.suffix == ".json":
        path.write_text(json.dumps(meta))
    else:
        write_arrays(path, {"x": np.zeros(2)}, meta)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of two versions of the code, one file with another torch, and files that do not count."""
    write(tmp_path / "encode_latents/a.safetensors", "encode_latents", NOW, numpy="2.4.6", torch="2.13.0")
    write(tmp_path / "sub-1/train_encoder/x/done.json", "train_encoder", "0.1.0+gaaaaaaaaaa", numpy="2.4.6")
    write(tmp_path / "sub-2/train_encoder/x/done.json", "train_encoder", "0.1.0+gaaaaaaaaaa", numpy="2.4.6")
    write(tmp_path / "sub-1/neurocine/m/decode/fmri.safetensors", "decode", NOW, torch="2.12.0")
    write(tmp_path / ".state/train_decoder/old.safetensors", "train_decoder", "0.0.1")
    write(tmp_path / "browser/assets/copy.safetensors", "decode", "0.0.1")
    (tmp_path / "damaged.safetensors").write_bytes(b"damaged")
    (tmp_path / "of_others").mkdir()
    (tmp_path / "of_others/done.json").write_text("[]")
    return tmp_path


def test_files_are_grouped_by_what_made_them(results: Path) -> None:
    groups = group_versions(made_files(results), NOW, PACKAGES)
    found = [(g.version, g.files, list(g.steps), list(g.packages), g.current) for g in groups]
    assert found == [
        (NOW, 1, ["encode_latents"], [], True),
        ("0.1.0+gaaaaaaaaaa", 2, ["train_encoder"], [], False),
        (NOW, 1, ["decode"], ["torch 2.12.0"], False),
    ]
    assert is_mixed(groups)
    assert rerun(groups) == "snakemake --profile slurm -R decode train_encoder"
    told = describe(groups).splitlines()
    assert told[0] == f"{NOW} (now): 1 files of encode_latents"
    assert told[2] == f"{NOW}, with torch 2.12.0: 1 files of decode"
    assert told[-1].endswith("-R decode train_encoder")


def test_results_of_one_version_are_not_mixed_and_need_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", "encode_latents", NOW, **PACKAGES)
    groups = group_versions(made_files(tmp_path), NOW, PACKAGES)
    assert not is_mixed(groups)
    assert rerun(groups) == ""


def test_packages_of_another_steps_environment_do_not_count() -> None:
    made = Made(Path("a"), "preprocess_run", NOW, {"numpy": "2.4.6", "nilearn": "0.13.1"})
    assert differs(made, NOW, PACKAGES) == []
    assert differs(made, "0.3.0", PACKAGES | {"numpy": "2.5.0"}) == ["code", "numpy"]


def test_command_lists_the_versions(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(results / "new.safetensors", "score", code_version(), **package_versions())
    monkeypatch.setattr(sys, "argv", ["made_by", str(results)])
    made_by.main()
    assert f"{code_version()} (now): 1 files of score" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["made_by", str(results / "nothing")])
    with pytest.raises(SystemExit) as ended:
        made_by.main()
    assert ended.value.code == 2
    assert "found no results" in capsys.readouterr().err
