"""Correlate the fMRI that reconstructions predict with the fMRI that was measured."""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from neurocine.cli import program
from neurocine.columns import write_described_table
from neurocine.fmri.assemble import SubjectFmri
from neurocine.fmri.vertices import VertexSelection
from neurocine.io import fixed_digits, read_table, write_arrays
from neurocine.metrics.fmri_agreement import AgreeFmriSettings, ClipFeatures, agree_fmri
from neurocine.metrics.motion_energy import motion_energy
from neurocine.metrics.score import Predictions
from neurocine.metrics.settings import ScoreSettings
from neurocine.models.pretrained import load_clip, pick_device
from neurocine.provenance import header, movies_behind, refuse_leaks, refuse_overlap
from neurocine.regression import fit_ridge_of_movies
from neurocine.stimuli.cached import CachedClips
from neurocine.stimuli.decoded import MovieFiles
from neurocine.stimuli.embed import embed_movie
from neurocine.surface.regions import scatter_to_brain

log = logging.getLogger("agree_fmri")
ORIGINAL = "original"  # condition name of the clips that were shown


def mean_embeddings(files: list[Path]) -> dict[str, np.ndarray]:
    """Read the embeddings of movies, mean over the frames of a clip: (T, E) each."""
    clips = CachedClips.read(files, "image")
    movies = dict.fromkeys(movie for movie, _ in clips.clips)
    return {movie: clips.of([movie]).mean(axis=1, dtype=np.float64) for movie in movies}


def shown_features(
    embeddings: list[Path], stimuli: list[Path], movies: Iterable[str], settings: AgreeFmriSettings
) -> dict[str, np.ndarray]:
    """Read the features of movies that were shown, (T, E) each; of a movie that a file lacks none."""
    parts: list[dict[str, np.ndarray]] = []
    if "clip" in settings.features:
        parts.append(mean_embeddings(embeddings))
    if "motion_energy" in settings.features:
        files = MovieFiles(stimuli, "--stimuli")
        parts.append({movie: motion_energy(files.read(movie)) for movie in movies if movie in files.movies})
    there = [movie for movie in movies if all(movie in part for part in parts)]
    return {movie: np.concatenate([part[movie] for part in parts], axis=1) for movie in there}


def decoded_features(decoded: Predictions, clip: tuple, settings: AgreeFmriSettings) -> ClipFeatures:
    """Compute the features of decoded clips, in the order of their indices."""
    clips, features, sources = {}, {}, {}
    for movie, index in decoded.clips.items():
        order = np.argsort(index, kind="stable")
        videos = decoded.read(movie)[order]
        clips[movie] = index[order]
        if movie in decoded.sources:
            sources[movie] = decoded.sources[movie][order]
        parts = []
        if "clip" in settings.features:
            parts.append(embed_movie(videos, clip, settings.batch_size).mean(axis=1, dtype=np.float64))
        if "motion_energy" in settings.features:
            parts.append(motion_energy(videos))
        features[movie] = np.concatenate(parts, axis=1)
    return ClipFeatures(decoded.condition, decoded.seed, clips, features, sources)


@program
def main(
    *,
    fmri_train: Path,
    fmri_test: Path,
    train_movies: list[str],
    train_embeddings: list[Path],
    test_embeddings: list[Path],
    decoded: list[Path],
    clip: Path,
    vertices: Path,
    seed: int,
    settings: AgreeFmriSettings,
    score: ScoreSettings,
    out: Path,
    maps: Path,
    noise_ceiling: Path | None = None,
    train_stimuli: list[Path] | None = None,
    stimuli: list[Path] | None = None,
    device: str = "auto",
) -> None:
    """Predict fMRI from the clips of every condition, and correlate it with the measured one.

    Parameters
    ----------
    fmri_train, fmri_test : files of assemble_train and assemble_test
    train_movies : movies that the model may be fitted to; what was computed from any other is refused
    train_embeddings, test_embeddings : files of embed_clips
    decoded : files of decode, one per condition
    clip : folder of CLIP, the network of embed_clips
    vertices : file of select_vertices or import_fmri
    seed : of the study; null and intervals are those of score
    settings : section agree_fmri of the config, as JSON
    score : section score of the config, as JSON, for null and intervals
    out : table (TSV): a row per condition, seed and area
    maps : correlation of each vertex, {condition}
    noise_ceiling : table of measure_noise_ceiling
    train_stimuli, stimuli : files of prepare_stimuli of training and test movies, for their motion energy
    device : auto, cpu or cuda
    """
    refuse_leaks([fmri_train, *train_embeddings], train_movies)
    test = SubjectFmri.read(fmri_test, with_repeats=False).bold
    refuse_overlap(fmri_train, test)
    training = SubjectFmri.read(fmri_train, with_repeats=False).bold
    known = shown_features(train_embeddings, train_stimuli or [], training, settings)
    model = fit_ridge_of_movies(known, training, settings)
    log.info("penalties from %.3g to %.3g", model.penalties.min(), model.penalties.max())
    parts = load_clip(clip, pick_device(device))
    files = [Predictions.from_file(path, seed) for path in decoded]
    conditions = [decoded_features(one, parts, settings) for one in files]
    shown = shown_features(test_embeddings, stimuli or [], test, settings)
    clips = conditions[0].clips
    of_originals = {movie: shown[movie][index] for movie, index in clips.items()}
    originals = ClipFeatures(ORIGINAL, seed, clips, of_originals)
    ceilings = {}
    if noise_ceiling is not None:
        table = read_table(noise_ceiling, ["group", "area", "ceiling_mean"])
        ceilings = {(r["group"], r["area"]): float(r["ceiling_mean"]) for r in table.to_dict("records")}
    selection = VertexSelection.read(vertices)
    table, each = agree_fmri(model, [originals, *conditions], test, selection, ceilings, score, seed)
    behind = movies_behind([fmri_train, fmri_test, *train_embeddings, *test_embeddings, *decoded, vertices])
    facts = {"seed": seed, "conditions": list(each)}
    if selection.grid is not None:
        facts["grid"] = selection.grid.meta()
    if selection.placed:
        each = {name: scatter_to_brain(values, selection) for name, values in each.items()}
    write_arrays(maps, each, header("agree_fmri", settings, behind, **facts))
    write_described_table(out, fixed_digits(table))


if __name__ == "__main__":
    main()
