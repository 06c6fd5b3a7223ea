"""Clips cached in several files: their order, their selection, and files that do not fit together."""

from pathlib import Path

import numpy as np
import pytest

from neurocine.errors import InputError
from neurocine.io import write_arrays
from neurocine.stimuli.cached import CachedClips, TextStates


def movie(first: float, clips: int = 2) -> np.ndarray:
    return (first + np.arange(clips * 3).reshape(clips, 3)).astype(np.float16)


def test_clips_follow_the_order_of_files_and_of_the_header(tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    write_arrays(
        first,
        {"seg2": movie(10), "seg10": movie(20), "seg1": movie(30)},
        {"movies": ["seg2", "seg10", "seg1"]},
    )
    write_arrays(second, {"seg3": movie(40)}, {})
    clips = CachedClips.read([second, first])
    assert [name for name, _ in clips.clips] == ["seg3"] * 2 + ["seg2"] * 2 + ["seg10"] * 2 + ["seg1"] * 2
    assert [index for _, index in clips.clips] == [0, 1] * 4
    assert clips.rows[:, 0].tolist() == [40, 43, 10, 13, 20, 23, 30, 33]
    assert clips.rows.dtype == np.float16
    assert clips.rows_of(["seg10", "seg3"]).tolist() == [0, 1, 4, 5]


def test_without_a_header_the_order_is_natural(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_arrays(path, {f"seg{number}/image": movie(number) for number in (10, 9, 1)}, {})
    assert [name for name, index in CachedClips.read([path], "image").clips if index == 0] == [
        "seg1",
        "seg9",
        "seg10",
    ]


def test_only_chosen_movies_are_read_and_a_missing_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_arrays(path, {"seg1": movie(1), "seg2": movie(2)}, {"movies": ["seg1", "seg2"]})
    assert CachedClips.read([path], movies=["seg2"]).clips == (("seg2", 0), ("seg2", 1))
    with pytest.raises(InputError, match="expected seg7"):
        CachedClips.read([path], movies=["seg2", "seg7"])


def test_bad_sets_of_files_are_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    write_arrays(path, {"seg1": movie(1)}, {})
    write_arrays(other, {"seg2": np.zeros((2, 4), np.float16)}, {})
    with pytest.raises(InputError, match="each movie once"):
        CachedClips.read([path, path])
    with pytest.raises(InputError, match="clips of shape"):
        CachedClips.read([path, other])
    with pytest.raises(InputError, match="at least one"):
        CachedClips.read([])


def embeddings(path: Path, name: str, shift: float = 0.0, null: float = 0.0, top: int = 2) -> Path:
    arrays = {
        "text_states": np.arange(3 * 2 * 2).reshape(3, 2, 2).astype(np.float16) + np.float16(shift),
        "null_states": np.full((2, 2), null, np.float16),
        f"{name}/state_index": np.array([[0, top], [1, 1]]),
        f"{name}/text": np.zeros((2, 2, 4), np.float32),
    }
    write_arrays(path, arrays, {"movies": [name]})
    return path


def test_text_states_of_several_files_share_one_table(tmp_path: Path) -> None:
    first = embeddings(tmp_path / "a.safetensors", "seg1")
    second = embeddings(tmp_path / "b.safetensors", "seg2", shift=100)
    captions = TextStates.read([first, second])
    assert captions.index.clips == (("seg1", 0), ("seg1", 1), ("seg2", 0), ("seg2", 1))
    states = captions.states[captions.index.rows]  # (clips, K, L, D)
    assert states[:, 0, 0, 0].tolist() == [0, 4, 100, 104]
    assert states[2, 1, 0, 0] == 108
    assert TextStates.read([first, second], ["seg2"]).index.rows.tolist() == [[3, 5], [4, 4]]


def test_text_states_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    first = embeddings(tmp_path / "a.safetensors", "seg1")
    with pytest.raises(InputError, match="another empty caption"):
        TextStates.read([first, embeddings(tmp_path / "b.safetensors", "seg2", null=1.0)])
    with pytest.raises(InputError, match="beyond the table"):
        TextStates.read([embeddings(tmp_path / "c.safetensors", "seg3", top=3)])
