"""The stand-alone scorer: clips in all kinds of files, what is reconciled and what is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metrics.tiny import moving_movie, write_classifiers, write_decoded
from neurocine.errors import InputError
from neurocine.io import read_table, write_arrays
from neurocine.metrics.clip_files import (
    ClipFile,
    cut_side,
    find_clips,
    pair_clips,
    reconcile,
    resize_frames,
    sample_frames,
    split_movies,
)
from neurocine.metrics.judges import parse_networks
from neurocine.metrics.psnr import psnr255
from neurocine.metrics.ssim import ssim_mv
from neurocine.score import choose_metrics, main, score_folders, smallest_shift
from neurocine.stimuli.video import write_video

CLIPS = moving_movie(8, 0)
CHEAP = ("ssim_mv", "psnr255")


def write_pngs(folder: Path, clips: np.ndarray) -> Path:
    for number, clip in enumerate(clips):
        (folder / f"test1_{number}").mkdir(parents=True)
        for index, frame in enumerate(clip):
            Image.fromarray(frame).save(folder / f"test1_{number}" / f"{index}.png")
    return folder


def write_npys(folder: Path, clips: np.ndarray, name: str = "test1_{}") -> Path:
    folder.mkdir()
    for number, clip in enumerate(clips):
        np.save(folder / f"{name.format(number)}.npy", clip)
    return folder


def read_all(path: Path) -> np.ndarray:
    return np.stack([clip.read() for clip in find_clips(path)])


def test_lossless_files_come_back_as_they_were(tmp_path: Path) -> None:
    np.save(tmp_path / "all.npy", CLIPS)
    decoded = write_decoded(tmp_path / "all.safetensors", "fmri", {"test1": (np.arange(0, 24, 3), CLIPS)})
    for path in (
        write_pngs(tmp_path / "png", CLIPS),
        write_npys(tmp_path / "npy", CLIPS),
        tmp_path / "all.npy",
        decoded,
    ):
        np.testing.assert_array_equal(read_all(path), CLIPS)
    assert [clip.name for clip in find_clips(decoded)][:3] == ["test1_0000", "test1_0003", "test1_0006"]


def test_movies_and_gifs_come_back_nearly(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    for number, clip in enumerate(CLIPS[:4]):
        slow = clip.repeat(6, axis=0)
        write_video(tmp_path / "films" / f"{number}.mp4", slow, 6, crf=1)
    (tmp_path / "gifs").mkdir()
    for number, clip in enumerate(CLIPS[:4]):
        first, *rest = (Image.fromarray(frame) for frame in clip)
        first.save(tmp_path / "gifs" / f"{number}.gif", save_all=True, append_images=rest, duration=100)
    films, gifs = read_all(tmp_path / "films"), read_all(tmp_path / "gifs")
    assert films.shape == (4, 12, 32, 32, 3)
    assert psnr255(films[:, [2, 8]], CLIPS[:4]).min() > 24
    assert gifs.shape == (4, 2, 32, 32, 3)
    assert psnr255(gifs, CLIPS[:4]).min() > 20
    assert find_clips(tmp_path / "films")[0].seconds == pytest.approx(2)
    assert find_clips(tmp_path / "gifs")[0].seconds is None


def test_scores_equal_direct_ones(tmp_path: Path) -> None:
    noisy = np.clip(CLIPS + np.random.default_rng(0).normal(0, 30, CLIPS.shape), 0, 255).astype(np.uint8)
    folders = write_pngs(tmp_path / "predicted", noisy), write_npys(tmp_path / "originals", CLIPS)
    table, clips, told = score_folders(*folders, {})
    values = table.set_index("metric")["value"]
    assert values["ssim_mv"] == pytest.approx(ssim_mv(noisy, CLIPS).mean(), abs=1e-6)
    assert values["psnr255"] == pytest.approx(psnr255(noisy, CLIPS).mean())
    assert {"hue_circ_corr", "epe_farneback", "motion_id_2way"} <= set(values.index)
    assert clips["clip"].tolist() == list(range(8))
    assert any("Left out: acc_image (give --image-classifier)" in line for line in told)
    assert any("test1 (8); shifted by 2 or more" in line for line in told)


def test_identity_is_perfect_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_npys(tmp_path / "clips", CLIPS)
    image, _ = write_classifiers(tmp_path)
    out = tmp_path / "scores.tsv"
    words = [str(folder), str(folder), "--metrics", *CHEAP, "acc_image", "epe_farneback", "acc_video"]
    assert main([*words, "--image-classifier", str(image), "--out", str(out), "--n-ways", "2", "40"]) == 0
    shown = capsys.readouterr().out
    assert "Left out: acc_video (give --video-classifier)." in shown
    assert "epe_farneback ↓" in shown
    table = read_table(out).set_index("metric")
    assert table.loc["psnr255", "value"] == 100
    assert table.loc["ssim_mv", "value"] == pytest.approx(1)
    assert table.loc["acc_image_40_single", "value"] == 1
    assert table.loc["acc_image_40_any3", "chance"] == pytest.approx(3 / 42)
    assert table.loc["epe_farneback", "value"] == 0


def test_a_cache_changes_nothing(tmp_path: Path) -> None:
    folder = write_npys(tmp_path / "clips", CLIPS)
    options = {"metrics": ("flow_cos",), "cache": tmp_path / "cache.safetensors"}
    first, _, _ = score_folders(folder, folder, {}, **options)
    assert options["cache"].is_file()
    again, _, _ = score_folders(folder, folder, {}, **options)
    assert first.equals(again)


def test_frames_and_sizes_are_reconciled(tmp_path: Path) -> None:
    slow = CLIPS.repeat(3, axis=1)
    large = slow.repeat(2, axis=2).repeat(2, axis=3)
    pairs, _ = pair_clips(
        find_clips(write_npys(tmp_path / "a", large)), find_clips(write_npys(tmp_path / "b", CLIPS))
    )
    reader, told = reconcile(pairs)
    assert told == [
        "Predictions: 2 of 6 frames, at the middle of equal intervals.",
        "Predictions: resized from 64 x 64 to 32 x 32 pixels.",
    ]
    np.testing.assert_array_equal(reader.read(0, [0, 5]), CLIPS[[0, 5]])
    assert reconcile(pairs, 16)[0].shape == (2, 16, 16, 3)


def test_sampling_and_averaging() -> None:
    np.testing.assert_array_equal(sample_frames(np.arange(16), 6), [1, 4, 6, 9, 12, 14])
    np.testing.assert_array_equal(sample_frames(np.arange(4), 4), np.arange(4))
    frame = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    means = frame.reshape(1, 4, 2, 4, 2, 3).mean(axis=(2, 4))
    # Pillow rounds after each of its two passes.
    np.testing.assert_allclose(resize_frames(frame, (4, 4)), means, atol=1.01)


def test_names_are_paired(tmp_path: Path) -> None:
    six = find_clips(write_npys(tmp_path / "six", CLIPS[:6]))
    two = find_clips(write_npys(tmp_path / "two", CLIPS[:2]))
    pairs, told = pair_clips(two, six)
    assert [(a.name, b.name) for a, b in pairs] == [("test1_0", "test1_0"), ("test1_1", "test1_1")]
    assert told == ["2 clips are paired by name; 4 originals are left out."]
    with pytest.raises(InputError, match="4 without original, such as test1_2"):
        pair_clips(six, two)
    letters = find_clips(write_npys(tmp_path / "letters", CLIPS[:6]))
    letters = [dataclasses.replace(clip, name="abcdef"[place]) for place, clip in enumerate(letters)]
    pairs, told = pair_clips(letters, six)
    assert [b.name for _, b in pairs] == [clip.name for clip in six]
    assert told[0].startswith("Neither names nor numbers in them are shared: 6 clips are paired in order")
    with pytest.raises(InputError, match="or give as many of both"):
        pair_clips(letters, two)


def named(*names: str) -> list[ClipFile]:
    return [ClipFile(name, name, None, lambda: CLIPS[0]) for name in names]


def test_names_that_share_numbers_only_are_paired_by_them() -> None:
    pairs, told = pair_clips(named("22", "9"), named("gt_9", "gt_22", "gt_31"))
    assert [(a.name, b.name) for a, b in pairs] == [("22", "gt_22"), ("9", "gt_9")]
    assert told == ["2 clips are paired by the numbers in their names; 1 originals are left out."]
    # One is missing on each side: in order 27 would stand beside 31.
    with pytest.raises(InputError, match="1 without original, such as 27"):
        pair_clips(named("22", "27"), named("gt_22", "gt_31"))
    # All numbers where they tell clips apart, else the last: the others may name the movie on one side only.
    pairs, _ = pair_clips(named("test1_3", "test2_3"), named("seg2-3", "seg1-3"))
    assert [(a.name, b.name) for a, b in pairs] == [("test1_3", "seg1-3"), ("test2_3", "seg2-3")]
    pairs, _ = pair_clips(named("clip3", "clip5"), named("test1_5", "test1_3"))
    assert [(a.name, b.name) for a, b in pairs] == [("clip3", "test1_3"), ("clip5", "test1_5")]


@pytest.mark.parametrize("border", [0, 2])
def test_clips_side_by_side_are_cut(tmp_path: Path, border: int) -> None:
    """Two squares in a torchvision grid with a border of 2 pixels, as MinD-Video's GIFs, or in none."""
    noisy = np.clip(CLIPS + np.random.default_rng(0).normal(0, 30, CLIPS.shape), 0, 255).astype(np.uint8)
    n, frames, size = CLIPS.shape[:3]
    both = np.zeros((n, frames, size + 2 * border, 2 * size + 3 * border, 3), np.uint8)
    both[:, :, border : border + size, border : border + size] = CLIPS
    both[:, :, border : border + size, 2 * border + size : 2 * border + 2 * size] = noisy
    folder = write_npys(tmp_path / "both", both)
    table, clips, told = score_folders(folder, None, {}, metrics=CHEAP, split="left")
    expected = psnr255(noisy, CLIPS).mean(axis=1)
    np.testing.assert_allclose(clips["psnr255"], expected)
    assert told[0] == "Cut in two: originals are on the left, predictions on the right."
    again, _, _ = score_folders(folder, None, {}, metrics=CHEAP, split="right")
    np.testing.assert_allclose(again["value"], table["value"])
    with pytest.raises(InputError, match="ORIGINALS"):
        score_folders(folder, None, {}, metrics=CHEAP)
    with pytest.raises(InputError, match="side by side"):
        cut_side(CLIPS[0][:, :, :31], "left", "clip")


def test_the_same_files_on_both_sides_are_told(tmp_path: Path) -> None:
    folder = write_npys(tmp_path / "clips", CLIPS)
    _, _, told = score_folders(folder, folder, {}, metrics=CHEAP)
    assert "Both sides are the same files: these are the scores of the originals themselves." in told


def test_frames_too_small_for_a_metric_leave_it_out(tmp_path: Path) -> None:
    folder = write_npys(tmp_path / "small", CLIPS[:, :, :4, :4])
    table, _, told = score_folders(folder, folder, {}, metrics=("ssim_mv", "psnr255", "flow_cos"))
    assert table["metric"].tolist() == ["psnr255"]
    assert "Left out: ssim_mv (they need frames of 7 pixels or more)." in told
    assert "Left out: flow_cos (they need frames of 5 pixels or more)." in told
    seven = write_npys(tmp_path / "seven", CLIPS[:, :, :7, :7])
    everything, _, _ = score_folders(seven, seven, {}, metrics=["all"])
    assert {"ssim_mv", "flow_cos", "hue_cos_ma"} <= set(everything["metric"])
    assert "ssim_gauss_gray" not in set(everything["metric"])


def test_unrelated_clips_are_paired_at_random(tmp_path: Path) -> None:
    """Eight clips 40 TR apart, as another lab shows them: seven shifts could not get p below .125."""
    folder = write_npys(tmp_path / "far", CLIPS)
    for number in reversed(range(8)):
        (folder / f"test1_{number}.npy").rename(folder / f"test{40 * number + 11}.npy")
    table, _, told = score_folders(folder, folder, {}, metrics=CHEAP)
    assert any("test (8); paired at random, as unrelated" in line for line in told)
    assert (table["draws"] == 10_000).all()
    assert (table["p_value"] < 0.001).all()
    table, _, told = score_folders(folder, folder, {}, metrics=CHEAP, pairing="shifts")
    assert table["p_value"].tolist() == [1 / 8] * 2
    assert any("test (8); shifted by" in line for line in told)


def test_movies_are_read_from_names() -> None:
    movies = split_movies(["test2_07", "test1_3", "test2_05", "test1_10"])
    assert movies is not None
    assert [(name, places.tolist(), clips.tolist()) for name, places, clips in movies] == [
        ("test1", [1, 3], [3, 10]),
        ("test2", [2, 0], [5, 7]),
    ]
    assert split_movies(["a_1", "b"]) is None
    assert split_movies(["a_1", "a1b"]) is None
    numbers = split_movies(["03", "01"])
    assert numbers is not None
    assert numbers[0][2].tolist() == [1, 3]
    joined = split_movies(["test1011", "test7", "test100"])
    assert joined is not None
    assert [(name, clips.tolist()) for name, _, clips in joined] == [("test", [7, 100, 1011])]


def test_what_cannot_be_reconciled_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write_npys(tmp_path / "good", CLIPS[:4])
    (tmp_path / "empty").mkdir()
    floats = write_npys(tmp_path / "floats", CLIPS[:4] / 255)
    mixed = write_npys(tmp_path / "mixed", CLIPS[:4])
    np.save(mixed / "test1_2.npy", CLIPS[2, :1])
    wide = write_npys(tmp_path / "wide", CLIPS[:4, :, :16])
    pickled = write_npys(tmp_path / "pickled", CLIPS[:4])
    np.save(pickled / "test1_0.npy", np.array([{"a": 1}]), allow_pickle=True)
    cases = {
        tmp_path / "nothing": "found nothing",
        tmp_path / "empty": "no clips",
        floats: r"float64 .*expected uint8",
        mixed: "1 frames of 32 x 32",
        wide: "aspect ratio",
        pickled: "cannot be read",
    }
    for path, message in cases.items():
        with pytest.raises(InputError, match=message):
            score_folders(path, good, {}, metrics=CHEAP)
    assert main([str(floats), str(good)]) == 2
    assert capsys.readouterr().err.startswith("ERROR ")
    assert main([str(good), str(good), "--n-ways", "1"]) == 2


def test_movies_of_other_durations_are_refused(tmp_path: Path) -> None:
    for name, fps in (("a", 6), ("b", 3)):
        (tmp_path / name).mkdir()
        for number in range(3):
            write_video(tmp_path / name / f"{number}.mp4", CLIPS[number].repeat(6, axis=0), fps)
    with pytest.raises(InputError, match=r"the 4\.00 s of"):
        pair_clips(find_clips(tmp_path / "a"), find_clips(tmp_path / "b"))


def test_metrics_that_cannot_be_computed_are_left_out() -> None:
    names, left = choose_metrics(["all"], {}, 1)
    assert "ssim_mv" in names
    assert not {"flow_cos", "clip_image", "vifi", "clip_pcc_allpairs"} & set(names)
    assert any("two frames" in line for line in left)
    with pytest.raises(InputError, match="give --clip"):
        choose_metrics(["clip_image"], {}, 2)
    with pytest.raises(InputError, match="give --clip and --vifi"):
        choose_metrics(["clip_pcc_thresholded"], {}, 2)


def test_without_vifi_clip_is_used_under_another_name() -> None:
    clip = {"clip": Path("clip")}
    names, told = choose_metrics(["vifi", "clip_video", "ssim_mv"], clip, 2)
    assert names == ("clip_video", "ssim_mv")
    assert told == ["Without --vifi clip_video is in the place of vifi."]
    both = {"clip": Path("clip"), "vifi": Path("vifi")}
    assert choose_metrics(["vifi", "clip_video"], both, 2) == (("vifi", "clip_video"), [])


def test_folders_of_networks_are_given_by_name() -> None:
    assert parse_networks(["clip=a/b", "vifi=c=d"]) == {"clip": Path("a/b"), "vifi": Path("c=d")}
    for wrong in ("clip", "clip=", "blip=a"):
        with pytest.raises(InputError, match=f"found {wrong}; expected name=folder, of image_classifier"):
            parse_networks([wrong])


def test_unknown_metrics_are_named() -> None:
    with pytest.raises(InputError, match="'ssim'"):
        choose_metrics(["ssim"], {}, 2)


def test_the_smallest_shift_fits_the_movies() -> None:
    assert smallest_shift([np.arange(240)], None) == 15
    assert smallest_shift([np.arange(240), np.arange(12)], None) == 4
    assert smallest_shift([np.array([0, 10, 11])], None) == 1
    assert smallest_shift([np.arange(240)], 30) == 30
    with pytest.raises(InputError, match="min_shift"):
        smallest_shift([np.arange(12)], 30)


NPY = b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', "  # how a header begins that is damaged further on


def test_pictures_and_arrays_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "archive.npz", a=np.zeros(3))
    bad = {
        "archive.npy": (tmp_path / "archive.npz").read_bytes(),
        "empty.npy": b"",
        "shape.npy": NPY + b"'fortran_order': False, 'shape': (-9,)}".ljust(108),
        "open.npy": NPY + b"'fortran_order': (".ljust(108),
        "huge.gif": b"GIF89a\xff\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x01\x00;",
        "text.gif": b"no picture",
    }
    for name, content in bad.items():
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        (folder / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            find_clips(folder)[0].read()


@pytest.mark.parametrize(
    "numbers", [np.zeros((2, 1), np.int64), np.zeros(2, np.float32), np.zeros(3, np.int64)]
)
def test_numbers_of_clips_that_do_not_fit_are_refused(tmp_path: Path, numbers: np.ndarray) -> None:
    path = tmp_path / "x.safetensors"
    write_arrays(path, {"test1": np.zeros((2, 1, 4, 4, 3), np.uint8), "test1/clip": numbers}, {})
    with pytest.raises(InputError, match="a whole number for each of 2 clips"):
        find_clips(path)
