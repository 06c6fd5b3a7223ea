"""Build the page that shows a study's results."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd

from neurocine.cli import program
from neurocine.costs import Asked, sum_costs
from neurocine.errors import InputError
from neurocine.io import read_table, replacing
from neurocine.naming import natural
from neurocine.report.browser import BuildBrowserSettings, build_browser
from neurocine.report.study import SCORE_COLUMNS, SUBJECT_FOLDER, Medium, Owner, Results, TrainingLog

ATTENTION_COLUMNS = ["kind", "stage", "layer", "area", "group", "hemisphere", "vertices"]
PLACE = re.compile(r"(?:^|/)sub-(?P<subject>[^/]+)/(?P<method>[^/]+)/(?P<experiment>[^/]+)/")


def owner_of(path: Path) -> Owner:
    """Read subject, method and experiment from ``.../sub-1/neurocine/paper_main/...``.

    Raises
    ------
    InputError : the path has no such part
    """
    match = PLACE.search(path.as_posix())
    if match is None:
        todo = "Give the file where the workflow wrote it."
        raise InputError(path, "another path", "a path with sub-<subject>/<method>/<experiment>/", todo)
    return Owner(match["subject"], match["method"], match["experiment"])


def copy_medium(path: Path, folder: Path, kind: str) -> Medium:
    """Copy a file of one subject and experiment beside the page; controls lie in a folder per condition."""
    if not path.is_file():
        raise InputError(path, "no such file", "a file to show", "Run the step that makes it.")
    owner = owner_of(path)
    condition = path.parent.name if kind == "controls" else "fmri"
    place = f"{kind}/{condition}" if kind == "controls" else kind
    href = f"assets/sub-{owner.subject}/{owner.method}/{owner.experiment}/{place}/{path.name}"
    return Medium(_copy(path, folder, href), path.stem, owner, condition)


def _copy(path: Path, folder: Path, href: str) -> str:
    with replacing(folder / href) as temporary:
        shutil.copyfile(path, temporary)
    return href


def read_owned(paths: list[Path], columns: list[str]) -> pd.DataFrame:
    """Join tables of single results; the columns subject, method and experiment come from their paths."""
    tables = [read_table(path, columns).assign(**owner_of(path)._asdict()) for path in paths]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def read_optional(paths: list[Path], columns: list[str] | None = None) -> pd.DataFrame:
    """Join tables of the same columns; empty where there is none."""
    return pd.concat([read_table(path, columns or []) for path in paths]) if paths else pd.DataFrame()


def read_ceilings(paths: list[Path]) -> pd.DataFrame:
    """Join the noise ceilings of all subjects; the column subject comes from their paths."""
    tables = []
    for path in paths:
        match = SUBJECT_FOLDER.search(path.as_posix())
        table = read_table(path, ["group", "area", "ceiling_mean"])
        tables.append(table.assign(subject=match[1] if match else ""))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def prune(folder: Path, kept: set[Path]) -> None:
    """Remove what an earlier page showed and this one does not."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path not in kept:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


@program
def main(
    *,
    scores: list[Path],
    config: str,
    out: Path,
    settings: BuildBrowserSettings,
    tables: list[Path] | None = None,
    strips: list[Path] | None = None,
    clips: list[Path] | None = None,
    maps: list[Path] | None = None,
    attention_tables: list[Path] | None = None,
    logs: list[Path] | None = None,
    controls: list[Path] | None = None,
    result_tables: list[Path] | None = None,
    exports: list[Path] | None = None,
    summary: list[Path] | None = None,
    comparisons: list[Path] | None = None,
    published: list[Path] | None = None,
    noise_ceilings: list[Path] | None = None,
    agreement: list[Path] | None = None,
    lag_sweep: list[Path] | None = None,
    methods: list[Path] | None = None,
    benchmarks: Path | None = None,
    asked: str = "{}",
) -> None:
    """Write one page, and copy what it shows into assets/ beside it.

    Parameters
    ----------
    scores : long table of tabulate, or the tables of single results
    config : the study's whole configuration, as JSON or @file.json
    out : the page; everything else goes into the folder assets/ beside it
    settings : section build_browser of the config, as JSON
    tables : further tables to link, such as those of tabulate
    strips : chosen clips of show_clips, film strips and films
    clips : whole movies of show_clips
    maps : brain maps of plot_surface
    attention_tables : tables of extract_attention
    logs : log.jsonl files of the trainings
    controls : film strips and films of the other conditions, {condition}/{choice} (show_clips)
    result_tables : further tables of single results to link, such as those of score
    exports : brain maps for other tools, and on a page to be turned (export_maps)
    summary : means over seeds (compare_results), or nothing on the page of one subject
    comparisons : paired differences (compare_results), likewise
    published : published values beside ours (compare_results), likewise
    noise_ceilings : tables of measure_noise_ceiling
    agreement : tables of agree_fmri
    lag_sweep : table of sweep_lags, or nothing where it was not made
    methods : text of write_methods, likewise
    benchmarks : folder of Snakemake's benchmarks of the study, for the cost
    asked : GPUs and memory that a job of each step asks for, as JSON
    """
    folder = out.parent
    text = Path(config[1:]).read_text(encoding="utf-8") if config.startswith("@") else config
    files = [
        Medium(_copy(path, folder, f"assets/tables/{path.name}"), path.stem)
        for path in [
            *(scores if summary else []),  # of one subject they are among the result tables
            *(path for part in (summary, comparisons, published, tables, lag_sweep) for path in part or []),
            *(text.with_suffix(ending) for text in methods or [] for ending in (".md", ".bib")),
        ]
    ]
    files += [
        copy_medium(path, folder, "tables")
        for path in [*(attention_tables or []), *(agreement or []), *(result_tables or [])]
    ]
    files += [copy_medium(path, folder, "maps") for path in exports or []]
    results = Results(
        scores=read_optional(scores, SCORE_COLUMNS),
        config=json.loads(text),
        attention=read_owned(attention_tables or [], ATTENTION_COLUMNS),
        agreement=read_owned(agreement or [], ["condition", "group", "area", "value"]),
        strips=[
            *(copy_medium(path, folder, "strips") for path in strips or []),
            *(copy_medium(path, folder, "controls") for path in controls or []),
        ],
        clips=[copy_medium(path, folder, "clips") for path in clips or []],
        maps=[copy_medium(path, folder, "maps") for path in maps or []],
        files=files,
        logs=[
            TrainingLog.read(path) for path in sorted(logs or [], key=lambda path: natural(path.as_posix()))
        ],
        summary=read_optional(summary or []),
        comparisons=read_optional(comparisons or []),
        published=read_optional(published or []),
        ceilings=read_ceilings(noise_ceilings or []),
        methods="".join(path.read_text(encoding="utf-8") for path in methods or []),
        lag_sweep=read_optional(lag_sweep or []),
        costs=sum_costs(benchmarks, {step: Asked(**wish) for step, wish in json.loads(asked).items()})
        if benchmarks
        else [],
    )
    with replacing(out) as temporary:
        temporary.write_text(build_browser(results, settings), encoding="utf-8")
    media = [*results.strips, *results.clips, *results.maps, *results.files]
    prune(folder / "assets", {folder / medium.href for medium in media})


if __name__ == "__main__":
    main()
