"""Extract attention of the fMRI encoder, and what it loses without an area, as maps and as a table."""

from pathlib import Path

from neurocine.cli import program
from neurocine.columns import write_described_table
from neurocine.fmri.assemble import SubjectFmri
from neurocine.fmri.vertices import VertexSelection
from neurocine.io import write_arrays
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.models.pretrained import pick_device
from neurocine.provenance import header, movies_behind
from neurocine.stimuli.cached import CachedClips
from neurocine.surface.attention import ExtractAttentionSettings
from neurocine.surface.extract import MeasuredClips, extract_attention


@program
def main(
    *,
    pretrained: Path,
    contrastive: Path,
    full: Path,
    fmri: Path,
    embeddings: list[Path],
    vertices: Path,
    seed: int,
    settings: ExtractAttentionSettings,
    out: Path,
    table: Path,
    device: str = "auto",
) -> None:
    """Average the attention over test clips at three stages of training, and occlude areas.

    Parameters
    ----------
    pretrained : encoder of pretrain_encoder
    contrastive : encoder of train_encoder
    full : encoder of train_decoder
    fmri : test samples of assemble_test
    embeddings : files of embed_clips that hold the test movies
    vertices : file of select_vertices or import_fmri
    seed : of the encoders with random weights and of the bootstrap
    settings : section extract_attention of the config, as JSON
    out : maps on the 59 412 cortical vertices, or on all voxels of the volumes' grid
    table : values per stage, layer and area (TSV)
    device : auto, cpu or cuda
    """
    where = pick_device(device)
    stages = {"pretrained": pretrained, "contrastive": contrastive, "full": full}
    weights = [folder / "model.safetensors" for folder in stages.values()]
    behind = movies_behind([*weights, fmri, *embeddings, vertices])
    encoders = {stage: FmriEncoder.from_pretrained(folder).to(where) for stage, folder in stages.items()}
    bold = SubjectFmri.read(fmri, with_repeats=False).bold
    text, image = (CachedClips.read(embeddings, name, list(bold)).by_movie() for name in ("text", "image"))
    selection = VertexSelection.read(vertices, needs_places=True)
    result = extract_attention(encoders, MeasuredClips(bold, text, image), selection, settings, seed)
    facts = {"stages": list(stages), "layers": list(settings.layers), "seed": seed, "whole": result.whole}
    if selection.grid is not None:
        facts["grid"] = selection.grid.meta()
    write_arrays(out, result.maps, header("extract_attention", settings, behind, **facts))
    write_described_table(table, result.table)


if __name__ == "__main__":
    main()
