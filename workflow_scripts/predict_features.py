"""Predict features of test clips from fMRI by ridge regression, of which no decoder should know less."""

import logging
from pathlib import Path

from neurocine.cli import program
from neurocine.diffusion.conditions import control_fmri
from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.io import write_arrays
from neurocine.provenance import header, movies_behind, refuse_leaks, refuse_overlap
from neurocine.ridge.features import ClipTargets, PredictFeaturesSettings, fit_features, predict_features
from neurocine.train.animator import Samples

log = logging.getLogger("predict_features")


@program
def main(
    *,
    fmri_train: Path,
    fmri_test: Path,
    train_movies: list[str],
    embeddings: list[Path],
    latents: list[Path],
    conditions: list[str],
    tokens: int,
    seed: int,
    settings: PredictFeaturesSettings,
    out: list[Path],
) -> None:
    """Fit a ridge regression to training clips and predict test clips with it, under several conditions.

    Parameters
    ----------
    fmri_train, fmri_test : files of assemble_train and assemble_test
    train_movies : movies that the regression may see; what was computed from any other is refused
    embeddings, latents : files of embed_clips and encode_latents, training movies
    conditions : fmri and controls (shifted, shuffled, mean, noise)
    tokens : text states that are predicted, as many as the semantic decoder's
    seed : of the controls shuffled and noise
    settings : section predict_features of the config, as JSON
    out : files to write, one per condition: per movie {movie}/embedding, {movie}/image, {movie}/states and
        {movie}/latents
    """
    if len(out) != len(conditions):
        raise InputError("--out", f"{len(out)} files", f"{len(conditions)}, one per condition", "Name them.")
    behind = refuse_leaks([fmri_train, *embeddings, *latents], train_movies)
    test = SubjectFmri.read(fmri_test, with_repeats=False).bold
    refuse_overlap(fmri_train, test)
    training = SubjectFmri.read(fmri_train, with_repeats=False).bold
    targets = ClipTargets.read(embeddings, latents, list(training), tokens)
    model = fit_features(training, targets, settings)
    log.info("penalties from %.3g to %.3g", model.penalties.min(), model.penalties.max())
    behind = sorted({*behind, *movies_behind([fmri_test])})
    for condition, path in zip(conditions, out, strict=True):
        shown = SubjectFmri(control_fmri(condition, test, training, settings.shift_tr, seed))
        samples = Samples.of(shown, list(test)).given(condition, seed)
        predictions = predict_features(model, targets, samples.bold.numpy(), samples.clips)
        facts = {"condition": condition, "seed": seed, "movies": list(test)}
        write_arrays(path, predictions.arrays(), header("predict_features", settings, behind, **facts))


if __name__ == "__main__":
    main()
