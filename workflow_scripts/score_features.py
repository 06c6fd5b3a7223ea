"""Score decoded features against the true ones, before anything is drawn."""

from pathlib import Path

import pandas as pd

from neurocine.animator.features import Features
from neurocine.cli import program
from neurocine.columns import write_described_table
from neurocine.errors import InputError
from neurocine.io import fixed_digits
from neurocine.metrics.feature_scores import ScoreFeaturesSettings, TrainingMeans, score_features
from neurocine.provenance import refuse_overlap
from neurocine.stimuli.cached import CachedClips


@program
def main(
    *,
    features: list[Path],
    embeddings: list[Path],
    latents: list[Path],
    train_embeddings: list[Path],
    train_latents: list[Path],
    image_frame: int,
    dataset: str,
    subject: str,
    decoders: str,
    seed: int,
    settings: ScoreFeaturesSettings,
    out: Path,
) -> None:
    """Score features of all test clips: retrieval of texts, errors beside the mean's, motion beside none.

    Parameters
    ----------
    features : files of decode_features or predict_features, one per condition, named by it
    embeddings, latents : files of embed_clips and encode_latents, test movies
    train_embeddings, train_latents : the same of the training movies, for their means
    image_frame : frame of a clip whose image embedding is to be found
    dataset, subject, decoders : written into the table
    seed : of the null
    settings : section score_features of the config, as JSON
    out : table to write, a row per condition and score
    """
    tables = []
    for path in train_latents:
        for test in latents:
            refuse_overlap(path, [movie for movie, _ in CachedClips.read([test]).clips])
    for path in features:
        predicted = Features.read(path)
        movies = list(dict.fromkeys(movie for movie, _ in predicted.clips))
        tokens = predicted.states.shape[1]
        truth = Features.true(embeddings, latents, movies, tokens)
        image = CachedClips.read(embeddings, "image", movies).rows
        if image_frame >= image.shape[1]:
            raise InputError("--image-frame", str(image_frame), f"0 to {image.shape[1] - 1}", "Correct it.")
        means = TrainingMeans.read(train_embeddings, train_latents, tokens)
        table = score_features(predicted, truth, image[:, image_frame], means, settings, seed)
        owner = {"dataset": dataset, "subject": subject, "decoders": decoders, "condition": path.stem}
        tables.append(pd.DataFrame([owner] * len(table)).join(table))
    write_described_table(out, fixed_digits(pd.concat(tables, ignore_index=True)))


if __name__ == "__main__":
    main()
