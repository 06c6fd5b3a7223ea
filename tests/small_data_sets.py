"""Small data sets in the layouts of HCP 7T and of Algonauts 2021, with movies and responses in real files."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from neurocine.fmri.cifti import write_dtseries
from neurocine.fmri.grayordinates import GRAYORDINATES
from neurocine.stimuli.video import write_video

FPS = 8
# The last window of each run is the repeated clip, 8 s long.
WINDOWS: dict[str, list[list[int]]] = {
    "MOVIE1": [[2, 14], [16, 28], [30, 38]],
    "MOVIE2": [[2, 16], [18, 26]],
    "MOVIE3": [[2, 16], [18, 26]],
    "MOVIE4": [[2, 20], [22, 30]],
}
DIRECTIONS = {"MOVIE1": "AP", "MOVIE2": "PA", "MOVIE3": "PA", "MOVIE4": "AP"}
PARTS = {"MOVIE1": "CC1", "MOVIE2": "HO1", "MOVIE3": "CC2", "MOVIE4": "HO2"}
VOLUMES = {run: places[-1][1] + 6 for run, places in WINDOWS.items()}
AREA_VOXELS = {"V1": 20, "V2": 16, "FFA": 12}


def moving_squares(seconds: float, seed: int) -> np.ndarray:
    """(n, 32, 32, 3) uint8 at `FPS`: a square of one colour that walks, another one every second."""
    generator = np.random.default_rng(seed)
    frames = np.zeros((int(seconds * FPS), 32, 32, 3), np.uint8)
    for second in range(int(np.ceil(seconds))):
        colour, (top, left) = generator.integers(60, 255, 3), generator.integers(0, 16, 2)
        for place in range(second * FPS, min((second + 1) * FPS, len(frames))):
            step = place - second * FPS
            frames[place, top : top + 10, left + step : left + step + 10] = colour
    return frames


def film(run: str, seed: int, repeated: int = 99) -> np.ndarray:
    """The movie of a run: black between its excerpts, which nothing else shows, but for the repeated one."""
    places = WINDOWS[run]
    frames = np.zeros(((places[-1][1] + 2) * FPS, 32, 32, 3), np.uint8)
    for number, (start, end) in enumerate(places):
        own = repeated if number == len(places) - 1 else seed * 10 + number
        frames[start * FPS : end * FPS] = moving_squares(end - start, own)
    return frames


def dense_file(root: Path, subject: str, run: str, middle: str = "_MSMAll_hp2000_clean") -> Path:
    """The place of a run, by the part of its name that tells how it was processed."""
    name = f"tfMRI_{run}_7T_{DIRECTIONS[run]}"
    return root / subject / "MNINonLinear/Results" / name / f"{name}_Atlas{middle}.dtseries.nii"


def write_films(root: Path, version: str = "Post_20140821_version") -> Path:
    """Write the four movies of a version and return their folder."""
    folder = root / "movies" / version
    folder.mkdir(parents=True)
    ending = "_v2" if version.startswith("Post") else ""
    for seed, run in enumerate(WINDOWS):
        write_video(folder / f"7T_{run}_{PARTS[run]}{ending}.mp4", film(run, seed), FPS)
    return folder


def write_hcp_7t(root: Path, subjects: tuple[str, ...]) -> None:
    """Write movies, and runs of noise whose volumes carry number and run at grayordinate 0."""
    write_films(root)
    for number, subject in enumerate(subjects):
        for seed, run in enumerate(WINDOWS):
            generator = np.random.default_rng(10 * number + seed)
            bold = generator.standard_normal((VOLUMES[run], GRAYORDINATES), dtype=np.float32)
            bold[:, 0] = np.arange(VOLUMES[run]) + 1000 * seed
            path = dense_file(root, subject, run)
            path.parent.mkdir(parents=True)
            write_dtseries(path, bold, 1.0)


def responses(area: str, videos: int, seed: int) -> np.ndarray:
    """(videos, 3, voxels) float32, whose first voxel carries the number of the video."""
    shape = (videos, 3, AREA_VOXELS[area])
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    values[:, :, 0] = np.arange(videos)[:, None]
    return values


def write_pickle(path: Path, content: Any, protocol: int = 2) -> Path:
    """Pickle something, as Python 2 and 3 both read it by default."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def write_algonauts_2021(
    root: Path, subjects: tuple[int, ...], videos: int, track: str = "mini_track"
) -> None:
    """Write videos of 3 s, two more than have responses, and the pickles of three areas per subject."""
    folder = root / "AlgonautsVideos268_All_30fpsmax"
    folder.mkdir(parents=True)
    for number in range(videos + 2):
        write_video(folder / f"{number + 1:04}_abc.mp4", moving_squares(3, number), FPS)
    for subject in subjects:
        place = root / "participants_data_v2021" / track / f"sub{subject:02}"
        for seed, area in enumerate(AREA_VOXELS):
            write_pickle(place / f"{area}.pkl", {"train": responses(area, videos, 10 * subject + seed)})
