"""Occlusion finds the area that carries the information; the extraction of a subject is whole."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import extract_attention as program
import plot_surface
from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.fmri.grayordinates import CORTEX
from neurocine.fmri.vertices import VertexSelection
from neurocine.io import read_arrays, read_table, write_arrays
from neurocine.metrics.agreement import Targets, agreement, embed, find_rivals, mean_direction
from neurocine.models.fmri_encoder import FmriEncoderConfig
from neurocine.provenance import stamp_weights
from neurocine.surface.attention import ExtractAttentionSettings, random_encoder
from neurocine.surface.extract import MeasuredClips, extract_attention, spaced
from neurocine.surface.occlusion import measure_occlusion
from neurocine.surface.plot import PlotSurfaceSettings
from neurocine.surface.regions import list_regions

CONFIG = FmriEncoderConfig(
    n_vertices=10, patch=4, depth=3, width=8, heads=2, tokens=3, text_width=6, embedding_width=5
)
SETTINGS = ExtractAttentionSettings(layers=(1, 3), batch_size=16, bootstrap_draws=200, min_distance_tr=2)
SELECTION = VertexSelection(
    vertex=np.array([5, 6, 7, 8, 30000, 30001, 30005, 100, 101, 102]),
    area=np.array([0, 0, 0, 0, 0, 0, 1, 2, 2, 2]),
    hemisphere=np.array([0, 0, 0, 0, 1, 1, 1, 0, 0, 0], np.int8),
    areas=("V1", "V2", "MT"),
    groups=("early", "early", "lateral"),
)


class FirstFrame(nn.Module):
    """Stands for a perfect encoder: the embedding is the first frame's first five vertices."""

    config = CONFIG

    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = torch.zeros(1)

    def forward(self, bold: Tensor) -> Tensor:
        return bold[:, 0, :5]

    def embedding(self, tokens: Tensor) -> Tensor:
        return tokens


def make_clips(seed: int = 0) -> MeasuredClips:
    """Two movies of 20 clips; embeddings are noise of unit length."""
    generator = np.random.default_rng(seed)
    names = ("test1", "test2")

    def draw(*shape: int) -> np.ndarray:
        return generator.normal(size=shape).astype(np.float32)

    return MeasuredClips(
        bold={name: draw(20, 10) for name in names},
        text={name: draw(20, 1, 5) for name in names},
        image={name: draw(20, 6, 5) for name in names},
    )


def test_agreement_equals_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted, text, image = (torch.randn(6, 4, generator=generator) for _ in range(3))
    text, image = nn.functional.normalize(text, dim=1), nn.functional.normalize(image, dim=1)
    rivals = find_rivals(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 5, 0, 1, 2]), 2)
    assert rivals.int().tolist() == [
        [0, 0, 1, 1, 1, 1],
        [0, 0, 1, 1, 1, 1],
        [1, 1, 0, 1, 1, 1],
        [1, 1, 1, 0, 0, 1],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
    ]
    found = agreement(predicted, Targets(text, image, rivals))
    for i in range(6):
        cosines, shares = [], []
        for target in (text, image):
            unit = predicted[i] / predicted[i].norm()
            similar = [float(unit @ target[j]) for j in range(6)]
            cosines.append(similar[i])
            shares.append(np.mean([similar[i] > similar[j] for j in range(6) if rivals[i, j]]))
        assert float(found["cosine"][i]) == pytest.approx(np.mean(cosines), abs=1e-6)
        assert float(found["identification"][i]) == pytest.approx(np.mean(shares), abs=1e-6)


def test_clips_without_rivals_are_identified_by_chance() -> None:
    target = nn.functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    rivals = find_rivals(np.zeros(3, int), np.array([0, 1, 2]), 2)
    found = agreement(target, Targets(target, target, rivals))
    assert found["identification"].tolist() == [1, 0.5, 1]


def test_occluding_the_area_that_carries_the_information_hurts_most() -> None:
    clips = make_clips()
    bold = np.stack([clips.bold["test1"]] * 2, axis=1)
    target = nn.functional.normalize(torch.from_numpy(clips.bold["test1"][:, :5]), dim=1)
    rivals = find_rivals(np.zeros(20, int), np.arange(20), 1)
    regions = [r for r in list_regions(SELECTION) if r.hemisphere == "both" and not r.is_group]
    before = bold.copy()
    whole, falls = measure_occlusion(
        FirstFrame(),  # type: ignore[arg-type]
        bold,
        Targets(target, target, rivals),
        regions,
        7,
        "test",
    )
    np.testing.assert_array_equal(bold, before)
    np.testing.assert_allclose(whole["cosine"], 1, rtol=1e-5)
    np.testing.assert_array_equal(whole["identification"], 1)
    by_area = dict(zip([r.area for r in regions], falls["cosine"].mean(0), strict=True))
    assert by_area["V1"] == pytest.approx(1, rel=1e-5)  # the embedding is all zero without V1
    assert by_area["V2"] == pytest.approx(0, abs=1e-6)
    assert by_area["MT"] == pytest.approx(0, abs=1e-6)


def test_embed_does_not_depend_on_the_batch() -> None:
    encoder = random_encoder(CONFIG, 1, 0)
    bold = np.random.default_rng(0).normal(size=(5, 2, 10)).astype(np.float32)
    occluded = np.array([1, 2])
    by_hand = bold.copy()
    by_hand[..., occluded] = 0
    np.testing.assert_allclose(embed(encoder, bold, occluded, 2), embed(encoder, by_hand, None, 5), atol=1e-6)


def test_mean_direction_weighs_frames_alike() -> None:
    found = mean_direction(np.array([[[10.0, 0.0], [0.0, 0.1]]], np.float32))
    np.testing.assert_allclose(found, [[0.5**0.5, 0.5**0.5]], rtol=1e-6)


def test_spaced() -> None:
    assert spaced(10, 0).tolist() == list(range(10))
    assert spaced(10, 4).tolist() == [0, 2, 5, 7]
    assert spaced(3, 5).tolist() == [0, 1, 2]


def test_extraction_is_whole_and_reproducible() -> None:
    encoders = {stage: random_encoder(CONFIG, 5, n) for n, stage in enumerate(("pretrained", "contrastive"))}
    settings = ExtractAttentionSettings(
        layers=(1, 3), batch_size=16, bootstrap_draws=200, clips_per_movie=6, occlusion_clips_per_movie=8
    )
    first, again = (extract_attention(encoders, make_clips(), SELECTION, settings, 1) for _ in range(2))
    assert first.table.equals(again.table)
    names = {
        f"attention/{s}/layer{n}/{q}"
        for s in encoders
        for n in (1, 3)
        for q in ("softmax", "l2row", "entropy")
    }
    names |= {f"random/layer{n}/{q}" for n in (1, 3) for q in ("softmax", "l2row", "entropy")}
    assert set(first.maps) == names | {"occlusion/cosine", "occlusion/identification"}
    for values in first.maps.values():
        assert values.shape == (CORTEX,)
        assert np.isfinite(values).sum() == 10
    attention = first.table[first.table["kind"] == "attention"]
    assert len(attention) == 2 * 2 * len(list_regions(SELECTION))
    assert (attention["softmax_low"] <= attention["importance_softmax"]).all()
    assert (attention["importance_softmax"] <= attention["softmax_high"]).all()
    occlusion = first.table[first.table["kind"] == "occlusion"]
    assert occlusion["area"].tolist() == ["all", "all", "V1", "V2", "MT"]
    assert occlusion["random_fall_cosine"].notna().all()
    row = occlusion[occlusion["area"] == "MT"].iloc[0]
    assert first.maps["occlusion/cosine"][101] == pytest.approx(row["fall_cosine"], rel=1e-5)


def test_occlusion_of_a_random_encoder_that_is_its_own_null() -> None:
    """The encoder of the null, given as the trained one, falls exactly as its null does."""
    encoders = {"contrastive": random_encoder(CONFIG, 3, 0)}
    table = extract_attention(encoders, make_clips(), SELECTION, SETTINGS, 3).table
    occlusion = table[table["kind"] == "occlusion"]
    np.testing.assert_allclose(occlusion["fall_cosine"], occlusion["random_fall_cosine"], atol=1e-7)


def test_inputs_that_do_not_fit_are_refused() -> None:
    clips = make_clips()
    encoders = {"contrastive": random_encoder(CONFIG, 5, 0)}
    short = MeasuredClips(clips.bold, {name: text[:9] for name, text in clips.text.items()}, clips.image)
    with pytest.raises(InputError, match="9 clips"):
        extract_attention(encoders, short, SELECTION, SETTINGS, 1)
    narrow = MeasuredClips({name: bold[:, :9] for name, bold in clips.bold.items()}, clips.text, clips.image)
    with pytest.raises(InputError, match="select_vertices"):
        extract_attention(encoders, narrow, SELECTION, SETTINGS, 1)


def test_programs_write_maps_table_and_pictures(tmp_path: Path) -> None:
    clips = make_clips()
    folders = {}
    for number, stage in enumerate(("pretrained", "contrastive", "full")):
        folders[stage] = tmp_path / stage
        random_encoder(CONFIG, 9, number).save_pretrained(folders[stage])
        stamp_weights(folders[stage], ["seg1"], stage)
    fmri = SubjectFmri(bold=dict(clips.bold))
    behind = {"computed_from": list(clips.bold)}
    write_arrays(tmp_path / "test.safetensors", fmri.arrays(), {"movies": list(clips.bold)} | behind)
    embeddings = {f"{name}/text": text for name, text in clips.text.items()}
    embeddings |= {f"{name}/image": image for name, image in clips.image.items()}
    write_arrays(tmp_path / "embeddings.safetensors", embeddings, behind)
    write_arrays(
        tmp_path / "vertices.safetensors", SELECTION.arrays(), SELECTION.meta() | {"computed_from": []}
    )
    program.main(
        **folders,
        fmri=tmp_path / "test.safetensors",
        embeddings=[tmp_path / "embeddings.safetensors"],
        vertices=tmp_path / "vertices.safetensors",
        seed=1,
        settings=ExtractAttentionSettings(layers=(2,), bootstrap_draws=200, min_distance_tr=2),
        out=tmp_path / "maps/attention.safetensors",
        table=tmp_path / "maps/attention.tsv",
    )
    arrays, meta = read_arrays(tmp_path / "maps/attention.safetensors")
    assert meta["computed_from"] == ["seg1", "test1", "test2"]
    assert meta["stages"] == ["pretrained", "contrastive", "full"]
    assert json.dumps(meta["layers"]) == "[2]"
    assert len(arrays) == 3 * 3 + 3 + 2
    assert {"kind", "stage", "layer", "area"} <= set(read_table(tmp_path / "maps/attention.tsv").columns)
    settings = PlotSurfaceSettings(views=("posterior",), dpi=30)
    plot_surface.main(
        attention=tmp_path / "maps/attention.safetensors", settings=settings, out=tmp_path / "maps", name="s1"
    )
    assert len(list((tmp_path / "maps").glob("*.png"))) == 3 + 2
