"""Take the pretrained encoder from a published checkpoint instead of pretraining one."""

import dataclasses
from pathlib import Path

from neurocine import __version__
from neurocine.cli import program
from neurocine.fmri.vertices import VertexSelection
from neurocine.io import file_sha256, write_json, write_table
from neurocine.models.published_encoder import ImportEncoderSettings, import_encoder
from neurocine.provenance import movies_behind, stamp_weights


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
    stamp_weights(out / "encoder", movies_behind([vertices]), "import_encoder")
    write_table(out / "tensors.tsv", table)
    done = {"step": "import_encoder", "version": __version__, "settings": dataclasses.asdict(settings)}
    write_json(out / "done.json", done | {"inputs": {checkpoint.name: file_sha256(checkpoint)}})


if __name__ == "__main__":
    main()
