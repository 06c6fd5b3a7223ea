"""Program of the rule score_toy_models."""

from pathlib import Path

import numpy as np

from neurocine.cli import program
from neurocine.io import file_sha256, write_json
from neurocine.pictures import write_picture
from neurocine.simulate.toy_models.scores import ScoreToyModelsSettings, score_toy_models
from neurocine.version import code_version

KEYS = ("clip", "blip", "stable_diffusion", "image_classifier", "video_classifier")
SHEET_COLUMNS = 16


@program
def main(*, models: Path, seed: int, settings: ScoreToyModelsSettings, out: Path, out_pictures: Path) -> None:
    """Score the toy models on held-out combinations and write their manifest.

    Parameters
    ----------
    models : folder that holds clip/, blip/, stable_diffusion/, image_classifier/ and video_classifier/
    seed : of the trainings and of the clips they are judged on
    settings : section score_toy_models of the config, as JSON
    out : manifest, JSON: seed, command, scores, sizes and hashes of the weights
    out_pictures : sheet of sampled pictures, PNG
    """
    values, pictures = score_toy_models({key: models / key for key in KEYS}, settings, seed)
    weights = sorted(models.rglob("*.safetensors"))
    manifest = {
        "command": "make toy-models",
        "seed": seed,
        "version": code_version(),
        "scores_on_held_out_combinations": values,
        "weights": {
            str(path.relative_to(models)): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
            for path in weights
        },
    }
    write_json(out, manifest)
    rows = len(pictures) // SHEET_COLUMNS
    sheet = pictures[: rows * SHEET_COLUMNS].reshape(rows, SHEET_COLUMNS, *pictures.shape[1:])
    write_picture(out_pictures, np.concatenate(np.concatenate(list(sheet), axis=1), axis=1))


if __name__ == "__main__":
    main()
