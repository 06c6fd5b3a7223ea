"""Captions, against the network used directly on one picture, and tables of captions that are refused."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import caption_clips as program
from neurocine.errors import InputError
from neurocine.io import read_table, write_arrays, write_table
from neurocine.models.pretrained import is_blip2, load_blip, load_clip
from neurocine.stimuli.caption import (
    CaptionClipsSettings,
    caption_clips,
    caption_frames,
    caption_movie,
    join_captions,
    make_captioner,
    make_judge,
)
from neurocine.stimuli.caption_files import read_captions
from neurocine.stimuli.embed import embed_images, embed_texts
from tiny_models import SIZE, write_blip2, write_clip

CLIPS = np.random.default_rng(0).integers(0, 255, (3, 4, SIZE, SIZE, 3), dtype=np.uint8)
SHORT = CaptionClipsSettings(max_new_tokens=5, num_beams=2, batch_size=2)


def direct_caption(folder: Path, frame: np.ndarray, prompt: str | None) -> str:
    """Caption one picture as the library's own example does."""
    from transformers import BertTokenizer, BlipForConditionalGeneration, BlipImageProcessorPil

    model = BlipForConditionalGeneration.from_pretrained(folder).eval()
    tokenizer = BertTokenizer.from_pretrained(folder)
    inputs = dict(BlipImageProcessorPil.from_pretrained(folder)(frame, return_tensors="pt"))
    if prompt:
        inputs["input_ids"] = tokenizer(prompt, return_tensors="pt").input_ids
    with torch.no_grad():
        tokens = model.generate(**inputs, num_beams=2, max_new_tokens=5)
    return tokenizer.decode(tokens[0], skip_special_tokens=True)


@pytest.mark.parametrize("prompt", ["", "a red circle"])
def test_batches_equal_single_pictures(models: dict[str, Path], prompt: str) -> None:
    frames = CLIPS[:, 0]
    settings = CaptionClipsSettings(max_new_tokens=5, num_beams=2, batch_size=2, prompt=prompt)
    captions = caption_frames(load_blip(models["blip"]), frames, settings)
    for frame, caption in zip(frames, captions, strict=True):
        direct = direct_caption(models["blip"], frame, prompt)
        start = direct.split(prompt, 1)[1] if prompt else direct.removeprefix("[DEC]")
        assert caption.replace("[DEC]", "").split() == start.replace("[DEC]", "").split()
        assert caption


def test_one_caption_per_clip_comes_from_the_chosen_frame(models: dict[str, Path]) -> None:
    captioner = make_captioner(CaptionClipsSettings(max_new_tokens=5), models["blip"], "cpu")
    per_frame = caption_movie("seg1", CLIPS, captioner, CaptionClipsSettings(unit="frame", max_new_tokens=5))
    assert per_frame["frame"].tolist() == [0, 1, 2, 3] * 3
    assert per_frame["clip"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    per_clip = caption_movie("seg1", CLIPS, captioner, CaptionClipsSettings(frame=2, max_new_tokens=5))
    assert per_clip["frame"].tolist() == [-1] * 3
    assert per_clip["caption"].tolist() == per_frame.query("frame == 2")["caption"].tolist()
    with pytest.raises(InputError, match=r"caption_clips.frame.*one of 4"):
        caption_movie("seg1", CLIPS, captioner, CaptionClipsSettings(frame=4))


def test_movies_follow_each_other_in_one_table(models: dict[str, Path]) -> None:
    movies = {"seg1": CLIPS, "seg10": CLIPS[:1]}
    table = caption_clips({"seg1": (3, 4), "seg10": (1, 4)}, movies.__getitem__, models["blip"], SHORT, "cpu")
    captioner = make_captioner(SHORT, models["blip"], "cpu")
    alone = [caption_movie(movie, clips, captioner, SHORT) for movie, clips in movies.items()]
    pd.testing.assert_frame_equal(table, pd.concat(alone, ignore_index=True))


def test_frames_are_seen(models: dict[str, Path]) -> None:
    """The picture reaches the network: first-token scores of two pictures differ."""
    model, processor, _ = load_blip(models["blip"])
    pixels = processor(list(CLIPS[:2, 0]), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (2, 3, SIZE, SIZE)
    with torch.no_grad():
        states = model.vision_model(pixels).last_hidden_state
    assert not torch.allclose(states[0], states[1])


@pytest.mark.parametrize("language", ["t5", "opt"])
def test_blip2_captions_as_the_library_does(tmp_path: Path, language: str) -> None:
    from transformers import (
        AutoTokenizer,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        BlipImageProcessorPil,
    )

    write_blip2(tmp_path, language)
    assert is_blip2(tmp_path)
    settings = SHORT.replace(prompt="a red circle")
    captions = make_captioner(settings, tmp_path, "cpu")(CLIPS[:, 0])
    model = Blip2ForConditionalGeneration.from_pretrained(tmp_path).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    processor = Blip2Processor(BlipImageProcessorPil.from_pretrained(tmp_path), tokenizer, num_query_tokens=3)
    expected = []
    for frame in CLIPS[:, 0]:
        given = processor(images=frame, text=settings.prompt, return_tensors="pt")
        inputs = {"pixel_values": given["pixel_values"], "input_ids": given["input_ids"]}
        with torch.no_grad():
            tokens = model.generate(**inputs, num_beams=2, max_new_tokens=5)[0]
        new = tokens[inputs["input_ids"].shape[1] if language == "opt" else 0 :]
        expected.append(" ".join(tokenizer.decode(new, skip_special_tokens=True).split()))
    assert captions == expected
    assert any(captions)


def test_older_blip2_is_refused(tmp_path: Path) -> None:
    write_blip2(tmp_path, "t5")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"image_token_index": None}))
    with pytest.raises(InputError, match="no image_token_index"):
        make_captioner(SHORT, tmp_path, "cpu")


def test_two_captions_are_joined_or_one_is_drawn() -> None:
    pairs = [("a dog", "a cat")] * 200
    cosines = np.repeat([[0.30, 0.34], [0.36, 0.30]], 100, axis=0)
    joined = join_captions(pairs, cosines, np.random.default_rng(0))
    assert set(joined[:100]) == {"a dog", "a cat"}
    assert 30 < joined[:100].count("a dog") < 70
    assert set(joined[100:]) == {"a dog, and then a cat"}
    assert joined == join_captions(pairs, cosines, np.random.default_rng(0))


def test_captions_of_two_frames_are_compared_with_the_middle_one(models: dict[str, Path]) -> None:
    settings = SHORT.replace(unit="two_frames")
    seen: list[tuple[Sequence[Sequence[str]], np.ndarray]] = []

    def judge(captions: Sequence[Sequence[str]], frames: np.ndarray) -> np.ndarray:
        seen.append((captions, frames))
        return np.array([[0.0, 1.0]] * len(captions))

    captioner = make_captioner(settings, models["blip"], "cpu")
    table = caption_movie("seg1", CLIPS, captioner, settings, judge)
    np.testing.assert_array_equal(seen[0][1], CLIPS[:, 2])
    first, last = captioner(CLIPS[:, 0]), captioner(CLIPS[:, 3])
    assert seen[0][0] == [list(pair) for pair in zip(first, last, strict=True)]
    assert table["caption"].tolist() == [f"{a}, and then {b}" for a, b in zip(first, last, strict=True)]
    assert table["frame"].tolist() == [-1] * 3
    with pytest.raises(InputError, match="two_frames, without a CLIP"):
        caption_movie("seg1", CLIPS, captioner, settings)


def test_the_judge_is_the_cosine_of_clip(tmp_path: Path) -> None:
    write_clip(tmp_path)
    captions = [["a red circle", "green"], ["blue square", "a"], ["up", "down"]]
    cosines = make_judge(tmp_path, "cpu", 2)(captions, CLIPS[:, 1])
    model, processor, tokenizer = load_clip(tmp_path)
    for row, (texts, frame) in enumerate(zip(captions, CLIPS[:, 1], strict=True)):
        image = embed_images(model, processor, frame[None])[0]
        for column, text in enumerate(texts):
            expected = torch.cosine_similarity(embed_texts(model, tokenizer, [text])[0], image, dim=0)
            assert cosines[row, column] == pytest.approx(float(expected), abs=1e-5)


def test_program_writes_captions(tmp_path: Path, models: dict[str, Path]) -> None:
    stimuli = tmp_path / "stimuli.safetensors"
    write_arrays(stimuli, {"seg10": CLIPS[:2], "seg2": CLIPS}, {"movies": ["seg2", "seg10"]})
    program.main(stimuli=stimuli, model=models["blip"], settings=SHORT, out=tmp_path / "a.tsv")
    table = read_table(tmp_path / "a.tsv")
    assert list(table.columns) == ["movie", "clip", "frame", "caption"]
    assert table["movie"].tolist() == ["seg2"] * 3 + ["seg10"] * 2
    assert table["clip"].tolist() == [0, 1, 2, 0, 1]

    # The same table as the user's own, in another order and with one more movie
    own = pd.concat([table.iloc[::-1], table.assign(movie="test1")]).drop(columns="frame")
    write_table(tmp_path / "own.tsv", own)
    settings = CaptionClipsSettings(backend="file", file=str(tmp_path / "own.tsv"))
    program.main(stimuli=stimuli, model=tmp_path / "none", settings=settings, out=tmp_path / "b.tsv")
    assert (tmp_path / "b.tsv").read_bytes() == (tmp_path / "a.tsv").read_bytes()


def captions_file(path: Path, rows: list[tuple[str, int, int, str]]) -> Path:
    write_table(path, pd.DataFrame(rows, columns=["movie", "clip", "frame", "caption"]))
    return path


def test_captions_per_frame(tmp_path: Path) -> None:
    rows = [("seg1", clip, frame, f"c{clip} f{frame}") for clip in range(2) for frame in range(3)]
    captions = read_captions(captions_file(tmp_path / "a.tsv", rows[::-1]), {"seg1": (2, 3)})
    assert captions == {"seg1": [["c0 f0", "c0 f1", "c0 f2"], ["c1 f0", "c1 f1", "c1 f2"]]}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("seg1", 0, -1, "a")], "1 captions of seg1; missing: clip 1; expected 2"),
        ([("seg1", clip, -1, "a") for clip in (0, 1, 2)], "not in the movie: clip 2"),
        ([("seg1", clip, -1, "a") for clip in (0, 1, 1)], "given twice"),
        ([("seg1", clip, 0, "a") for clip in (0, 1)], "missing: clip 0 frame 1"),
        ([("seg2", 0, -1, "a")], "0 captions of seg1"),
    ],
)
def test_counts_that_disagree_are_refused(
    tmp_path: Path, rows: list[tuple[str, int, int, str]], message: str
) -> None:
    path = captions_file(tmp_path / "a.tsv", rows)
    with pytest.raises(InputError, match=message):
        read_captions(path, {"seg1": (2, 3)})


def test_empty_captions_are_refused(tmp_path: Path) -> None:
    stimuli = tmp_path / "stimuli.safetensors"
    write_arrays(stimuli, {"seg1": CLIPS[:2]}, {"movies": ["seg1"]})
    path = captions_file(tmp_path / "a.tsv", [("seg1", 0, -1, "a"), ("seg1", 1, -1, " ")])
    settings = CaptionClipsSettings(backend="file", file=str(path))
    with pytest.raises(InputError, match="1 empty captions, the first for seg1 clip 1"):
        program.main(stimuli=stimuli, model=tmp_path, settings=settings, out=tmp_path / "b.tsv")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"backend": "blip2"}, {"unit": "movie"}, {"num_beams": 0}, {"frame": -1}, {"file": "a.tsv"}),
        {"unit": "two_frames", "backend": "lavis"},
    ],
)
def test_settings_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CaptionClipsSettings(**wrong)
