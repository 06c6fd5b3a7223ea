"""Build the page that shows a study's results."""

import json
from dataclasses import replace
from pathlib import Path

from neurocine.cli import program
from neurocine.costs import Asked, sum_costs
from neurocine.io import replacing
from neurocine.made_by import group_versions, made_files
from neurocine.report.browser import BuildBrowserSettings, build_browser
from neurocine.report.gather import StudyFiles, gather_results, prune
from neurocine.version import code_version, package_versions


@program
def main(
    *,
    files: StudyFiles,
    config: str,
    out: Path,
    settings: BuildBrowserSettings,
    benchmarks: Path | None = None,
    made: Path | None = None,
    asked: str = "{}",
) -> None:
    """Write one page, and copy what it shows into assets/ beside it.

    Parameters
    ----------
    files : of the study, each kind under its own name
    config : the study's whole configuration, as JSON or @file.json
    out : the page; everything else goes into the folder assets/ beside it
    settings : section build_browser of the config, as JSON
    benchmarks : folder of Snakemake's benchmarks of the study, for the cost
    made : folder of the results, for the versions of the code that made them
    asked : GPUs and memory that a job of each step asks for, as JSON
    """
    text = Path(config[1:]).read_text(encoding="utf-8") if config.startswith("@") else config
    requested = {step: Asked(**resources) for step, resources in json.loads(asked).items()}
    costs = sum_costs(benchmarks, requested) if benchmarks else []
    versions = group_versions(made_files(made), code_version(), package_versions()) if made else []
    results = replace(gather_results(files, json.loads(text), costs, out.parent), versions=versions)
    with replacing(out) as temporary:
        temporary.write_text(build_browser(results, settings), encoding="utf-8")
    prune(out.parent, results)


if __name__ == "__main__":
    main()
