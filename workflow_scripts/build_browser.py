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
    runs: list[Path] | None = None,
    agreement: list[Path] | None = None,
    features: list[Path] | None = None,
    areas: list[Path] | None = None,
    lag_sweep: list[Path] | None = None,
    methods: list[Path] | None = None,
    benchmarks: Path | None = None,
    made: Path | None = None,
    asked: str = "{}",
) -> None:
    """Write one page, and copy what it shows into assets/ beside it.

    Parameters
    ----------
    scores : long table of tabulate_scores, or the tables of single results
    config : the study's whole configuration, as JSON or @file.json
    out : the page; everything else goes into the folder assets/ beside it
    settings : section build_browser of the config, as JSON
    tables : further tables to link, such as those of tabulate_scores
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
    runs : tables of inspect_runs
    agreement : tables of agree_fmri
    features : tables of score_features
    areas : tables of rank_areas
    lag_sweep : table of sweep_lags, or nothing where it was not made
    methods : text of write_methods, likewise
    benchmarks : folder of Snakemake's benchmarks of the study, for the cost
    made : folder of the results, for the versions of the code that made them
    asked : GPUs and memory that a job of each step asks for, as JSON
    """
    files = StudyFiles(
        scores,
        tables=tables or [],
        strips=strips or [],
        clips=clips or [],
        maps=maps or [],
        attention_tables=attention_tables or [],
        logs=logs or [],
        controls=controls or [],
        result_tables=result_tables or [],
        exports=exports or [],
        summary=summary or [],
        comparisons=comparisons or [],
        published=published or [],
        noise_ceilings=noise_ceilings or [],
        runs=runs or [],
        agreement=agreement or [],
        features=features or [],
        areas=areas or [],
        lag_sweep=lag_sweep or [],
        methods=methods or [],
    )
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
