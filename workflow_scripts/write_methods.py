"""Write the methods of a study as text for a paper."""

import json
from pathlib import Path

from neurocine.cli import program
from neurocine.costs import Asked, sum_costs
from neurocine.io import open_arrays, read_table, replacing, write_json
from neurocine.report.methods import Ran, write_methods
from neurocine.report.study import SUBJECT_FOLDER, TrainingLog


def count_vertices(paths: list[Path]) -> dict[str, int]:
    """Count the vertices of each subject, or of ``all``, from the files of select_vertices or import_fmri."""
    counts = {}
    for path in paths:
        match = SUBJECT_FOLDER.search(path.as_posix())
        with open_arrays(path) as handle:
            counts[match[1] if match else "all"] = int(handle.get_slice("vertex").get_shape()[0])
    return counts


def read_commits(lock: Path) -> dict[str, str]:
    """Read the commits of downloaded networks; none where nothing was downloaded."""
    if not lock.is_file():
        return {}
    entries = json.loads(lock.read_text(encoding="utf-8"))
    return {name: entry["revision"] for name, entry in entries.items() if entry.get("revision")}


@program
def main(
    *,
    config: str,
    experiments: list[str],
    scores: Path,
    vertices: list[Path],
    logs: list[Path],
    rest_subjects: int,
    out: Path,
    references: Path,
    description: Path,
    benchmarks: Path | None = None,
    asked: str = "{}",
) -> None:
    """Write the methods of a study, the references that they cite, and the description of its results.

    Parameters
    ----------
    config : the study's whole configuration, as JSON or @file.json
    experiments : those that were run
    scores : table of tabulate_scores
    vertices : files of select_vertices or import_fmri
    logs : log.jsonl files of the trainings
    rest_subjects : subjects whose rest runs the encoder was pretrained on
    out : the text, Markdown
    references : what it cites, BibTeX
    description : what made the results and from what, dataset_description.json of BIDS derivatives
    benchmarks : folder of Snakemake's benchmarks of the study, for the hours
    asked : GPUs and memory that a job of each step asks for, as JSON
    """
    text = Path(config[1:]).read_text(encoding="utf-8") if config.startswith("@") else config
    study = json.loads(text)
    requested = {step: Asked(**resources) for step, resources in json.loads(asked).items()}
    ran = Ran(
        vertices=count_vertices(vertices),
        logs=[TrainingLog.read(path) for path in logs],
        costs=sum_costs(benchmarks, requested) if benchmarks else [],
        commits=read_commits(Path(study["fetch_models"]["lock"])),
        rest_subjects=rest_subjects,
        metrics=list(dict.fromkeys(read_table(scores, ["metric"])["metric"])),
    )
    written = write_methods(study, experiments, ran)
    for path, content in ((out, written.text), (references, written.references)):
        with replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    write_json(description, written.description)


if __name__ == "__main__":
    main()
