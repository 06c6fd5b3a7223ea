"""Read what a study's page shows, and put a copy of what it links beside it."""

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neurocine.costs import Cost
from neurocine.errors import InputError
from neurocine.io import read_table, replacing
from neurocine.naming import natural
from neurocine.report.study import SCORE_COLUMNS, SUBJECT_FOLDER, Medium, Owner, Results, TrainingLog

ATTENTION_COLUMNS = ["kind", "stage", "layer", "area", "group", "hemisphere", "vertices"]
AGREEMENT_COLUMNS = ["condition", "group", "area", "value"]
FEATURE_COLUMNS = ["subject", "decoders", "condition", "score", "value"]
ORDER_COLUMNS = ["condition", "sample", "metric", "value", "evidence"]
AREA_COLUMNS = ["decoder", "kind", "measure", "area", "hemisphere", "value", "rank"]
PLACE = re.compile(r"(?:^|/)sub-(?P<subject>[^/]+)/(?P<method>[^/]+)/(?P<experiment>[^/]+)/")


@dataclass(frozen=True)
class StudyFiles:
    """The files of a study that its page shows or links; each may be absent.

    Parameters
    ----------
    scores : long table of tabulate_scores, or the tables of single results
    tables : further tables to link, such as those of tabulate_scores
    strips : chosen clips of show_clips, film strips and films
    clips : whole movies of show_clips
    maps : brain maps of plot_surface
    attention_tables : tables of extract_attention
    logs : log.jsonl files of the trainings
    controls : film strips and films of the other conditions, {condition}/{choice} (show_clips)
    result_tables : further tables of single results to link, such as those of score
    exports : brain maps for other tools, and as an interactive page (export_maps)
    summary : means over seeds (compare_results); nothing on the page of one subject
    comparisons : paired differences (compare_results), likewise
    published : published values beside ours (compare_results), likewise
    noise_ceilings : tables of measure_noise_ceiling
    runs : tables of inspect_runs
    agreement : tables of agree_fmri
    features : tables of score_features
    areas : tables of rank_areas
    order : tables of test_order
    lag_sweep : table of sweep_lags
    methods : text of write_methods, with its references beside it
    """

    scores: Sequence[Path]
    tables: Sequence[Path] = ()
    strips: Sequence[Path] = ()
    clips: Sequence[Path] = ()
    maps: Sequence[Path] = ()
    attention_tables: Sequence[Path] = ()
    logs: Sequence[Path] = ()
    controls: Sequence[Path] = ()
    result_tables: Sequence[Path] = ()
    exports: Sequence[Path] = ()
    summary: Sequence[Path] = ()
    comparisons: Sequence[Path] = ()
    published: Sequence[Path] = ()
    noise_ceilings: Sequence[Path] = ()
    runs: Sequence[Path] = ()
    agreement: Sequence[Path] = ()
    features: Sequence[Path] = ()
    areas: Sequence[Path] = ()
    order: Sequence[Path] = ()
    lag_sweep: Sequence[Path] = ()
    methods: Sequence[Path] = ()

    @property
    def of_study(self) -> list[Path]:
        """Files to link that belong to no single result."""
        return [
            *(self.scores if self.summary else []),  # of one subject they are among the result tables
            *self.summary,
            *self.comparisons,
            *self.published,
            *self.tables,
            *self.lag_sweep,
            *(text.with_suffix(ending) for text in self.methods for ending in (".md", ".bib")),
        ]


def gather_results(
    files: StudyFiles, config: Mapping[str, Any], costs: Sequence[Cost], folder: Path
) -> Results:
    """Read what a page shows, and copy what it links into ``assets/`` beside it.

    Parameters
    ----------
    files : of the study
    config : the study's whole configuration
    costs : time and memory of its steps
    folder : of the page

    Raises
    ------
    InputError : a file that is missing, that lacks columns, or whose result cannot be read from its path
    """

    def media(paths: Iterable[Path], kind: str) -> list[Medium]:
        return [copy_medium(path, folder, kind) for path in paths]

    links = [Medium(_copy(path, folder, f"assets/tables/{path.name}"), path.stem) for path in files.of_study]
    owned = [*files.attention_tables, *files.agreement, *files.areas, *files.order, *files.result_tables]
    links += media(owned, "tables")
    links += media(files.exports, "maps")
    logs = sorted(files.logs, key=lambda path: natural(path.as_posix()))
    return Results(
        scores=join_tables(files.scores, SCORE_COLUMNS),
        config=config,
        attention=join_owned(files.attention_tables, ATTENTION_COLUMNS),
        agreement=join_owned(files.agreement, AGREEMENT_COLUMNS),
        features=join_tables(files.features, FEATURE_COLUMNS),
        areas=join_owned(files.areas, AREA_COLUMNS),
        order=join_owned(files.order, ORDER_COLUMNS),
        strips=media(files.strips, "strips") + media(files.controls, "controls"),
        clips=media(files.clips, "clips"),
        maps=media(files.maps, "maps"),
        files=links,
        logs=[TrainingLog.read(path) for path in logs],
        summary=join_tables(files.summary),
        comparisons=join_tables(files.comparisons),
        published=join_tables(files.published),
        ceilings=join_subjects(files.noise_ceilings, ["group", "area", "ceiling_mean"]),
        runs=join_subjects(files.runs, ["movie", "repeat", "marked"]),
        methods="".join(path.read_text(encoding="utf-8") for path in files.methods),
        lag_sweep=join_tables(files.lag_sweep),
        costs=costs,
    )


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


def join_tables(paths: Sequence[Path], columns: Sequence[str] = ()) -> pd.DataFrame:
    """Join tables of the same columns; empty where there is none."""
    return pd.concat([read_table(path, list(columns)) for path in paths]) if paths else pd.DataFrame()


def join_owned(paths: Iterable[Path], columns: list[str]) -> pd.DataFrame:
    """Join tables of single results; the columns subject, method and experiment come from their paths."""
    tables = [read_table(path, columns).assign(**owner_of(path)._asdict()) for path in paths]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def join_subjects(paths: Iterable[Path], columns: list[str]) -> pd.DataFrame:
    """Join tables of single subjects; the column subject comes from their paths."""
    tables = []
    for path in paths:
        match = SUBJECT_FOLDER.search(path.as_posix())
        table = read_table(path, columns)
        tables.append(table.assign(subject=match[1] if match else ""))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def prune(folder: Path, results: Results) -> None:
    """Remove from ``assets/`` of the page's folder what an earlier page showed and this one does not."""
    media = [*results.strips, *results.clips, *results.maps, *results.files]
    shown = {folder / medium.href for medium in media}
    for path in sorted((folder / "assets").rglob("*"), reverse=True):
        if path.is_file() and path not in shown:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
