"""Pictures for the eye: what is drawn where, and which clips are chosen."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import show_clips as program
from neurocine.errors import InputError
from neurocine.io import write_arrays, write_table
from neurocine.stimuli.show import (
    GAP,
    ShowClipsSettings,
    ShownClip,
    choose_clips,
    enlarge_frame,
    film_strips,
    pair_clips,
    side_by_side,
)
from neurocine.stimuli.video import read_all_frames, read_frames_at, video_info

RED, BLUE = (200, 30, 30), (30, 30, 200)
SETTINGS = ShowClipsSettings(min_side=32, clips_per_strip=3)


def plain(colour: tuple[int, int, int], n_frames: int = 2, side: int = 16) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (n_frames, side, side, 3)).copy()


def close(pixel: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() < 12)


def test_clips_meet_their_originals() -> None:
    originals = np.arange(5, dtype=np.uint8)[:, None, None, None, None] * np.ones((1, 2, 4, 4, 3), np.uint8)
    decoded = originals[:2] + 100
    pairs = list(pair_clips("test1", originals, decoded, np.array([4, 1])))
    assert [(pair.clip, pair.original[0, 0, 0, 0], pair.decoded[0, 0, 0, 0]) for pair in pairs] == [
        (4, 4, 100),
        (1, 1, 101),
    ]
    with pytest.raises(InputError, match="clips 0 to 4"):
        list(pair_clips("test1", originals, decoded, np.array([5, 1])))
    with pytest.raises(InputError, match="1 decoded and 2 original"):
        list(pair_clips("test1", originals, decoded[:, :1], np.array([4, 1])))


def test_enlarging_repeats_pixels() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (16, 20, 3), dtype=np.uint8)
    large = np.asarray(enlarge_frame(frame, ShowClipsSettings(min_side=40)))
    np.testing.assert_array_equal(large, frame.repeat(3, 0).repeat(3, 1))
    np.testing.assert_array_equal(enlarge_frame(frame, ShowClipsSettings(min_side=16)), frame)
    smooth = enlarge_frame(frame, ShowClipsSettings(min_side=40, enlarge="lanczos"))
    assert smooth.size == (60, 48)


def test_original_is_left_and_decoded_is_right() -> None:
    frames = list(side_by_side([ShownClip("test1", 3, plain(RED), plain(BLUE))], SETTINGS))
    assert len(frames) == 2
    line = frames[0].shape[0] - 32
    assert frames[0].shape[1] == 32 + GAP + 32
    assert np.all(frames[0][line:, :32] == RED)
    assert np.all(frames[0][line:, 32 + GAP :] == BLUE)
    assert frames[0][:line].min() < 100  # letters


def test_original_is_above_decoded() -> None:
    clips = [ShownClip("test1", k, plain(RED), plain(BLUE), 0.5) for k in range(3)]
    sheet = film_strips(clips, SETTINGS, "title")
    red = np.all(sheet == RED, axis=-1)
    blue = np.all(sheet == BLUE, axis=-1)
    assert red.sum() == blue.sum() == 3 * 2 * 32 * 32
    top = [np.flatnonzero(mask.any(1))[0] for mask in (red, blue)]
    assert top[1] - top[0] == 32 + GAP
    columns = np.flatnonzero(np.diff(np.concatenate([[0], red[top[0]].astype(int), [0]])) == 1)
    assert len(columns) == 4  # two clips of two frames in the first row


def test_choices() -> None:
    scores = pd.DataFrame({"movie": "test1", "clip": range(7), "score": [0.3, 0.9, 0.1, 0.5, 0.8, 0.2, 0.4]})
    generator = np.random.default_rng(0)
    chosen = {
        kind: choose_clips(scores, kind, 3, generator)["clip"].tolist()
        for kind in ("best", "median", "worst", "first")
    }
    assert chosen == {"best": [1, 4, 3], "median": [3, 6, 0], "worst": [2, 5, 0], "first": [0, 1, 2]}
    random = choose_clips(scores, "random", 3, np.random.default_rng(1))["clip"].tolist()
    assert random == choose_clips(scores, "random", 3, np.random.default_rng(1))["clip"].tolist()
    assert random == sorted(set(random))
    drawn = {tuple(choose_clips(scores, "random", 3, generator)["clip"]) for _ in range(20)}
    assert len(drawn) > 5
    assert len(choose_clips(scores, "best", 99, generator)) == 7


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Two test movies, the decoded clips of which are blue, and two conditions of scores."""
    originals = {name: np.stack([plain(RED)] * 4) for name in ("test1", "test2")}
    decoded = {name: np.stack([plain(BLUE)] * 2) for name in originals}
    decoded |= {f"{name}/clip": np.array([1, 3]) for name in originals}
    rows = [
        (name, clip, value, kind)
        for kind, value in (("fmri", 0.7), ("shifted", 0.1))
        for name in originals
        for clip in (1, 3)
    ]
    paths = {name: tmp_path / name for name in ("stimuli", "decoded", "scores")}
    write_arrays(paths["stimuli"], originals, {"movies": ["test1", "test2"]})
    write_arrays(paths["decoded"], decoded, {"condition": "fmri", "seed": 1})
    write_table(paths["scores"], pd.DataFrame(rows, columns=["movie", "clip", "ssim_mv", "condition"]))
    return paths


def test_program_writes_movies_and_sheets(tmp_path: Path, files: dict[str, Path]) -> None:
    movies = [tmp_path / "clips" / "test2.mp4", tmp_path / "clips" / "test1.mp4"]
    sheets = [tmp_path / "strips" / f"{choice}.png" for choice in ("best", "random")]
    program.main(
        decoded=files["decoded"],
        stimuli=[files["stimuli"]],
        seed=1,
        settings=SETTINGS,
        out_clips=movies,
        out_strips=sheets,
        clip_scores=files["scores"],
        name="subject 1",
    )
    info = video_info(movies[0])
    assert (len(read_all_frames(movies[0])), info.fps) == (4, 3.0)
    frame = read_frames_at(movies[0], [1.0])[0]
    assert close(frame[-10, 10], RED)
    assert close(frame[-10, -10], BLUE)
    sheet = np.asarray(Image.open(sheets[0]))
    assert np.all(sheet == RED, axis=-1).sum() == 3 * 2 * 32 * 32


def test_chosen_clips_play_and_controls_have_their_own(tmp_path: Path, files: dict[str, Path]) -> None:
    shifted = {name: np.stack([plain(RED)] * 2) for name in ("test1", "test2")}
    write_arrays(
        tmp_path / "shifted",
        shifted | {f"{name}/clip": np.array([1, 3]) for name in shifted},
        {"condition": "shifted", "seed": 1},
    )
    given = {"decoded": files["decoded"], "stimuli": [files["stimuli"]], "seed": 1, "settings": SETTINGS}
    given |= {"clip_scores": files["scores"], "controls": [tmp_path / "shifted"], "out_clips": []}
    film = tmp_path / "strips/worst.mp4"
    controls = [tmp_path / "controls/shifted" / name for name in ("worst.mp4", "random.jpg")]
    program.main(**given, out_strips=[film], out_controls=controls)
    assert len(read_all_frames(film)) == len(read_all_frames(controls[0])) == 3 * 2
    assert close(read_frames_at(film, [0.5])[0][-10, -10], BLUE)
    assert close(read_frames_at(controls[0], [0.5])[0][-10, -10], RED)
    sheet = Image.open(controls[1])
    assert sheet.format == "JPEG"
    red = np.abs(np.asarray(sheet).astype(int) - RED).max(axis=-1) < 30
    assert red.sum() > 0.9 * 2 * 3 * 2 * 32 * 32
    with pytest.raises(InputError, match=r"--controls: .*conditions shifted.* noise"):
        program.main(**given, out_strips=[], out_controls=[tmp_path / "controls/noise/best.mp4"])


def test_program_refuses_what_it_cannot_draw(tmp_path: Path, files: dict[str, Path]) -> None:
    def run(**changes: object) -> None:
        given = {"decoded": files["decoded"], "stimuli": [files["stimuli"]], "seed": 1, "settings": SETTINGS}
        program.main(**(given | {"out_clips": [], "out_strips": []} | changes))

    with pytest.raises(InputError, match="without --clip-scores"):
        run(out_strips=[tmp_path / "best.png"])
    with pytest.raises(InputError, match="one of best, median"):
        run(out_strips=[tmp_path / "finest.png"])
    with pytest.raises(InputError, match="a movie test9"):
        run(out_clips=[tmp_path / "test9.mp4"])
    write_arrays(tmp_path / "other", {"seg1": np.zeros((1, 2, 4, 4, 3), np.uint8)}, {})
    with pytest.raises(InputError, match=r"--stimuli.*a movie test1"):
        run(out_clips=[tmp_path / "test1.mp4"], stimuli=[tmp_path / "other"])
    write_table(tmp_path / "few", pd.read_csv(files["scores"], sep="\t").iloc[1:])
    with pytest.raises(InputError, match="3 scores for 4 decoded clips"):
        run(out_strips=[tmp_path / "best.png"], clip_scores=tmp_path / "few")


def test_settings_are_checked() -> None:
    for wrong in ({"enlarge": "cubic"}, {"fps": 0}, {"columns": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ShowClipsSettings(**wrong)
