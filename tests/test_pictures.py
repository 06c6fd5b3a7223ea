"""Pictures put together by hand, and read again from the files they were written to."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neurocine.pictures import draw_pairs, tile, write_picture


def test_tile_centres_each_picture_in_its_cell() -> None:
    small, large = np.zeros((2, 2, 3), np.uint8), np.zeros((4, 6, 3), np.uint8)
    grid = tile([[small, large], [large, small]], gap=2)
    assert grid.shape == (10, 14, 3)
    assert (grid[1:3, 2:4] == 0).all()
    assert (grid[0][:8] == 255).all()


def test_pairs_lie_one_below_the_other() -> None:
    clips = np.arange(2 * 3 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 3, 4, 5, 3)
    sheet = draw_pairs(clips, 200 - clips, gap=2)
    assert sheet.shape == (2 * (4 + 2 + 4 + 4), 3 * (5 + 2), 3)
    for clip in range(2):
        for frame in range(3):
            top, left = 14 * clip, 7 * frame
            np.testing.assert_array_equal(sheet[top : top + 4, left : left + 5], clips[clip, frame])
            below = sheet[top + 6 : top + 10, left : left + 5]
            np.testing.assert_array_equal(below, 200 - clips[clip, frame])
    assert (sheet[4:6] == 255).all()
    assert (sheet[10:14] == 255).all()


@pytest.mark.parametrize("smallest", [True, False])
def test_written_pictures_are_read_again(tmp_path: Path, smallest: bool) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    write_picture(tmp_path / "a.png", picture, smallest)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), picture)
    write_picture(tmp_path / "a.jpg", picture, smallest)
    with Image.open(tmp_path / "a.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (7, 9))
