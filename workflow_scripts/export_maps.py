"""Write the brain maps of one subject and experiment for other tools, and as an interactive page."""

from pathlib import Path

from neurocine.cli import program
from neurocine.fmri.volumes import VoxelGrid
from neurocine.io import read_arrays
from neurocine.naming import natural
from neurocine.surface.export import agreement_maps, area_maps, export_maps, named_maps
from neurocine.surface.plot import PlotSurfaceSettings, attention_scale, occlusion_scale, select_maps
from neurocine.version import code_version


@program
def main(
    *,
    attention: Path,
    settings: PlotSurfaceSettings,
    out: Path,
    page: Path,
    name: str = "",
    agreement: list[Path] = [],  # noqa: B006  (never changed; a command line has no other empty list)
    areas: list[Path] = [],  # noqa: B006
) -> None:
    """Write all maps into one file, a description beside it, and the occlusion map as a page.

    Parameters
    ----------
    attention : maps of extract_attention
    settings : section plot_surface of the config, as JSON: colours are those of the pictures
    out : CIFTI scalars (.dscalar.nii), or NIfTI (.nii.gz) of maps on volumes
    page : HTML that needs no network
    name : what the maps show, for example "subject 1, paper_main"
    agreement : maps of agree_fmri, or none
    areas : maps of rank_areas, or none
    """
    arrays, meta = read_arrays(attention)
    maps, occlusion = select_maps(arrays, meta["stages"], meta["layers"], settings.quantity)
    scales = attention_scale(list(maps.values()), settings), occlusion_scale(occlusion, settings)
    grid = VoxelGrid.from_meta(meta["grid"]) if "grid" in meta else None
    made_by = {"Name": "neurocine", "Version": code_version()}
    named, behind = named_maps(maps, occlusion, scales), set(meta["computed_from"])
    for path in agreement:
        of_conditions, agreed = read_arrays(path)
        named += agreement_maps({each: of_conditions[each] for each in agreed["conditions"]}, settings)
        behind |= set(agreed["computed_from"])
    for path in areas:
        of_areas, ranked = read_arrays(path)
        named += area_maps(of_areas)
        behind |= set(ranked["computed_from"])
    sources = {
        "Description": name,
        "GeneratedBy": [made_by],
        "ComputedFrom": sorted(behind, key=natural),
    }
    export_maps(named, grid, f"Occlusion of each area, {name}", sources, out, page)


if __name__ == "__main__":
    main()
