"""Take the pretrained encoder from a published checkpoint instead of pretraining one."""

from pathlib import Path

from neurocine.cli import program
from neurocine.fmri.vertices import VertexSelection
from neurocine.io import file_sha256, write_json, write_table
from neurocine.models.published_encoder import ImportEncoderSettings, import_encoder
from neurocine.provenance import header, movies_behind, stamp_weights


@program
def main(*, checkpoint: Path, vertices: Path, settings: ImportEncoderSettings, out: Path) -> None:
    """Take the pretrained encoder from a published checkpoint instead of pretraining one.

    Parameters
    ----------
    checkpoint : PyTorch file of DC-MAE, MinD-Vis or MinD-Video
    vertices : file of select_vertices or import_fmri
    settings : section import_encoder of the config, as JSON
    out : results directory: encoder/, tensors.tsv (what was loaded and what was not), done.json
    """
    n_vertices = len(VertexSelection.read(vertices).area)
    encoder, table = import_encoder(checkpoint, n_vertices, settings)
    encoder.save_pretrained(out / "encoder")
    behind = movies_behind([vertices])
    stamp_weights(out / "encoder", behind, "import_encoder")
    write_table(out / "tensors.tsv", table)
    inputs = {checkpoint.name: file_sha256(checkpoint)}
    write_json(out / "done.json", header("import_encoder", settings, behind, inputs=inputs))


if __name__ == "__main__":
    main()
