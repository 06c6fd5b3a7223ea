"""Areas: what is painted comes back, what carries information ranks first, what was not learned does not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge

import rank_areas as program
from neurocine.animator.features import Features
from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.fmri.grayordinates import CORTEX
from neurocine.fmri.parcellation import installed_areas
from neurocine.fmri.vertices import SelectVerticesSettings, VertexSelection, select_vertices
from neurocine.io import read_arrays, read_table, write_arrays
from neurocine.metrics.settings import ScoreSettings
from neurocine.models.fmri_encoder import FmriEncoder, FmriEncoderConfig
from neurocine.models.motion import MotionConfig, MotionGenerator
from neurocine.models.semantic import SemanticConfig, SemanticDecoder
from neurocine.models.structure import StructureConfig, StructureDecoder
from neurocine.provenance import stamp_weights
from neurocine.surface.attention import inverse_embedding, random_encoder
from neurocine.surface.contrasts import Category, contrast_weights, sort_captions
from neurocine.surface.probes import (
    AnimatorProbe,
    Probe,
    contrast_pairs,
    embedding_pairs,
    error_pairs,
    haufe_pattern,
    linear_stage,
    weight_product,
)
from neurocine.surface.rank_areas import (
    PERMUTED,
    TRAINED,
    RankAreasSettings,
    family_p,
    occlude,
    rank_areas,
    spaced_clips,
)
from neurocine.surface.regions import average_wrapped, list_regions, region_means, scatter_to_brain
from neurocine.surface.spins import THINNING, draw_rotations, label_meshes, load_spheres, spin_areas

SCORE = ScoreSettings(min_shift_tr=4, block_tr=4, null_draws=1000, bootstrap_draws=1000)
AREAS = ("V1", "V2", "V4", "V8", "LO1", "MT", "MST", "FFC")
N = 60  # clips of a movie


def selection(every: int = 40) -> VertexSelection:
    return select_vertices(SelectVerticesSettings(areas=AREAS, every=every))


class LinearProbe(Probe):
    """A ridge regression from fMRI to features, judged by its error: a decoder that is trained in no time."""

    losses = ("error",)

    def __init__(self, model: Ridge, truth: np.ndarray, rows: Mapping[str, np.ndarray]) -> None:
        self.model, self.truth, self.rows = model, truth, rows
        self.n_vertices = model.coef_.shape[1]

    def pairs(self, bold: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        made = self.model.predict(np.concatenate([bold[m][index] for m, index in self.rows.items()]))
        return {"error": error_pairs(made, self.truth)}


def simulated() -> dict[str, Any]:
    """Features that areas carry to known degrees, with the decoder of a ridge and one of other times."""
    draw = np.random.default_rng(3)
    chosen = selection()
    gains = {"V1": 1.6, "MT": 1.2, "V4": 0.8, "FFC": 0.6, "LO1": 0.4}  # the other three know nothing
    gain = np.array([gains.get(area, 0.0) for area in chosen.areas])[chosen.area]
    weights = draw.normal(size=(5, len(gain))) * gain

    def movie() -> tuple[np.ndarray, np.ndarray]:
        features = draw.normal(size=(N, 5))
        bold = features @ weights + 3 * draw.normal(size=(N, len(gain)))
        return features, bold.astype(np.float32)

    train = {name: movie() for name in ("seg1", "seg2", "seg3", "seg4")}
    test = {name: movie() for name in ("test1", "test2")}
    fmri = SubjectFmri({name: bold for name, (_, bold) in train.items()})
    rows = {name: np.arange(N) for name in test}
    features = np.concatenate([values for values, _ in train.values()])

    def probe(subject: SubjectFmri) -> LinearProbe:
        model = Ridge(alpha=300).fit(np.concatenate(list(subject.bold.values())), features)
        return LinearProbe(model, np.concatenate([values for values, _ in test.values()]), rows)

    information = np.array(
        [(weights[:, chosen.area == k] ** 2).sum() / 9 for k in range(len(chosen.areas))]
    )  # of an area's vertices, signal over noise
    return {
        "selection": chosen,
        "rows": rows,
        "bold": {name: bold for name, (_, bold) in test.items()},
        "training": fmri.bold,
        "probe": probe(fmri),
        "permuted": [probe(fmri.at_other_times(5, number)) for number in range(1, 13)],
        "information": dict(zip(chosen.areas, information, strict=True)),
    }


@pytest.fixture(scope="module")
def ranked() -> tuple[pd.DataFrame, dict[str, np.ndarray], dict[str, Any]]:
    world = simulated()
    texts = [["a dog runs"] if clip % 20 < 10 else ["a plate of food"] for clip in range(N)]
    result = rank_areas(
        world["probe"],
        world["rows"],
        world["bold"],
        world["training"],
        dict.fromkeys(world["bold"], texts),
        world["selection"],
        {("early", "V1"): 0.8},
        SCORE,
        RankAreasSettings(spins=60),
        1,
        world["permuted"],
    )
    return result.table, result.maps, world


def test_areas_are_ranked_by_the_information_they_carry(ranked: Any) -> None:
    table, maps, world = ranked
    rows = table[(table["kind"] == "occlusion") & (table["decoder"] == TRAINED)]
    both = rows[(rows["hemisphere"] == "both") & (rows["area"] != "all")].set_index("area")
    known = pd.Series(world["information"])
    assert spearmanr(both["value"], known[both.index])[0] >= 0.7
    assert both.loc["V1", "rank"] == 1
    assert both.loc["V1", "exceeds"] == "yes"
    assert (both.loc[["V1", "V4", "MT"], "p_family"] <= 0.01).all()
    assert (both.loc[["V2", "V8", "MST"], "exceeds"] == "no").all()
    assert both.loc["V1", "noise_ceiling"] == 0.8
    assert (both["ci_low"] < both["value"]).all()
    assert (both["value"] < both["ci_high"]).all()
    assert set(rows["hemisphere"]) == {"both", "left", "right"}
    assert set(rows[rows["area"] == "all"]["group"]) == set(world["selection"].groups)
    # By hand: the rise of the error without V1's vertices.
    probe, bold = world["probe"], world["bold"]
    members = np.flatnonzero(world["selection"].area == 0)
    joined = np.concatenate(list(bold.values()))
    without = joined.copy()
    without[:, members] = 0
    errors = [((probe.model.predict(x) - probe.truth) ** 2).mean() for x in (joined, without)]
    assert both.loc["V1", "value"] == pytest.approx(errors[1] - errors[0], rel=1e-5)
    # The map holds each area's value on its vertices, and the outline where its null is exceeded.
    picture, outlined = maps["occlusion/error"], maps["exceeds/occlusion/error"]
    assert picture.shape == (CORTEX,)
    for number, area in enumerate(world["selection"].areas):
        vertices = world["selection"].vertex[world["selection"].area == number]
        np.testing.assert_allclose(picture[vertices], both.loc[area, "value"], rtol=1e-5)
        assert (outlined[vertices] == (both.loc[area, "exceeds"] == "yes")).all()
    assert np.isfinite(picture).sum() == len(world["selection"].vertex)


def test_a_decoder_of_other_times_ranks_nothing_above_its_null(ranked: Any) -> None:
    table, _, world = ranked
    first = table[(table["area"] == "V1") & (table["hemisphere"] == "both") & (table["kind"] == "occlusion")]
    assert first[first["decoder"] == TRAINED]["p_training"].tolist() == [1 / 13]
    assert sum(first["decoder"].str.startswith(PERMUTED)) == 12
    result = rank_areas(
        world["permuted"][0],
        world["rows"],
        world["bold"],
        world["training"],
        {},
        world["selection"],
        {},
        SCORE,
        RankAreasSettings(spins=1, contrasts={}),
        1,
        world["permuted"][1:],
    )
    rows = result.table[(result.table["decoder"] == TRAINED) & (result.table["area"] != "all")]
    assert len(rows)
    assert (rows["exceeds"] == "no").all()


def test_the_null_is_that_of_a_loop_over_shifts(ranked: Any) -> None:
    table, _, world = ranked
    probe, bold = world["probe"], world["bold"]
    regions = list_regions(world["selection"])
    region = next(r for r in regions if r.area == "V4" and r.hemisphere == "left")
    fall = probe.pairs(bold)["error"] - probe.pairs(occlude(bold, region.members))["error"]
    blocks = [fall[:N, :N], fall[N:, N:]]
    each = [[np.mean([b[i, (i + s) % N] for i in range(N)]) for s in range(N)] for b in blocks]
    null = [(first + second) / 2 for first in each[0] for second in each[1]][1:]
    expected = (1 + sum(value >= np.diagonal(fall).mean() for value in null)) / (1 + len(null))
    row = table[(table["area"] == "V4") & (table["hemisphere"] == "left") & (table["decoder"] == TRAINED)]
    row = row[row["kind"] == "occlusion"].iloc[0]
    assert row["draws"] == 1000  # of all 3,599
    assert row["p_value"] == pytest.approx(expected, abs=0.03)


def test_contrasts_compare_categories_of_clips(ranked: Any) -> None:
    table, _, world = ranked
    rows = table[(table["kind"] == "contrast animal_food") & (table["measure"] == "fmri")]
    row = rows[(rows["area"] == "MT") & (rows["hemisphere"] == "both")].iloc[0]
    members = np.flatnonzero(np.array(world["selection"].areas)[world["selection"].area] == "MT")
    first = np.arange(N) % 20 < 10
    parts = [bold[:, members].mean(1) for bold in world["bold"].values()]
    by_hand = np.mean([part[first].mean() - part[~first].mean() for part in parts])
    assert row["value"] == pytest.approx(by_hand, rel=1e-4)
    assert not len(table[table["kind"] == "contrast human_vehicle"])  # no such clips


def test_categories_are_told_by_whole_words() -> None:
    category = Category(first=("Cat", "dog"), second=("food",))
    captions = [["a cat"], ["catalogue"], ["dog food"], ["FOOD."], []]
    assert sort_captions(captions, category).tolist() == [1, 0, 0, -1, 0]
    sides = {"a": np.array([1, -1, 0]), "b": np.array([1, 1, -1])}
    weights = contrast_weights(sides, 2)
    assert weights is not None
    values = np.array([3.0, 1.0, 9.0, 5.0, 7.0, 2.0])
    assert (values * np.concatenate(list(weights.values()))).mean() == pytest.approx(5 - 1.5)
    assert contrast_weights(sides, 3) is None


def test_corrected_p_counts_the_largest_of_each_draw() -> None:
    draw = np.random.default_rng(0)
    null = np.stack([draw.normal(size=500), 10 * draw.normal(size=500), np.zeros(500)])
    values = np.array([2.5, 12.0, 0.0])
    unit = (null[:2] - null[:2].mean(1, keepdims=True)) / null[:2].std(1, keepdims=True)
    largest = unit.max(0)
    found = (values[:2] - null[:2].mean(1)) / null[:2].std(1)
    expected = [(1 + (largest >= value).sum()) / 501 for value in found]
    np.testing.assert_allclose(family_p(values, null), [*expected, 1])


def test_a_painted_map_comes_back_on_exactly_its_areas() -> None:
    """Areas become tokens of the encoder, padding included, and tokens become areas of the cortex again."""
    chosen = selection(every=7)
    n = len(chosen.vertex)
    config = FmriEncoderConfig(
        n_vertices=n,
        window=1,
        patch=16,
        depth=1,
        width=32,
        heads=2,
        tokens=3,
        text_width=6,
        embedding_width=5,
    )
    assert n % 16  # the last token is padded with vertices from the start
    painted = np.isin(np.array(chosen.areas)[chosen.area], ["V4", "MT"]).astype(np.float32)
    encoder = random_encoder(config, 1, 0)
    bold = torch.from_numpy(painted)[None, None]
    tokens = []
    handle = encoder.blocks[0].norm1.register_forward_pre_hook(lambda _, inputs: tokens.append(inputs[0]))
    with torch.no_grad():
        encoder(bold)
    handle.remove()
    back = average_wrapped(inverse_embedding(encoder, tokens[0]).flatten(0, 1), n)
    np.testing.assert_allclose(back[0].detach().numpy(), painted, atol=1e-4)
    regions = list_regions(chosen)
    means = region_means(back.detach(), regions)[0].numpy()
    for region, mean in zip(regions, means, strict=True):
        if not region.is_group:
            assert mean == pytest.approx(float(region.area in ("V4", "MT")), abs=1e-4)
    brain = scatter_to_brain(back[0].detach().numpy(), chosen)
    lit = set(np.flatnonzero(np.nan_to_num(brain) > 0.5))
    atlas = installed_areas()
    expected = {int(v) for side in (0, 1) for area in ("V4", "MT") for v in atlas[side, area][::7]}
    assert lit == expected


def test_turned_areas_are_where_brainspace_turns_them() -> None:
    """Against BrainSpace where it is installed, else against a search by hand."""
    chosen, spheres = selection(), load_spheres()
    labels = label_meshes(chosen)
    found = spin_areas(spheres, labels, draw_rotations(2, np.random.RandomState(4)))  # type: ignore[arg-type]
    try:
        from brainspace.null_models.spin import _generate_spins

        spun = _generate_spins(*spheres, n_rep=2, random_state=4)
        indices = [spun["lh"], spun["rh"]]
    except ImportError:
        rotations = draw_rotations(2, np.random.RandomState(4))  # type: ignore[arg-type]
        flip = np.diag([-1, 1, 1])
        turns = [[rotation, flip @ rotation @ flip] for rotation in rotations]
        indices = [
            np.stack([_nearest(spheres[side], spheres[side] @ turn[side]) for turn in turns])
            for side in (0, 1)
        ]
    for side in (0, 1):
        order = np.argsort(labels[side], kind="stable")
        targets = order[labels[side][order] >= 0][::THINNING]
        for number in (0, 1):
            come = labels[side][indices[side][number][targets]]
            table = np.zeros((len(AREAS), len(AREAS)), int)
            for own, other in zip(labels[side][targets], come, strict=True):
                if other >= 0:
                    table[own, other] += 1
            np.testing.assert_array_equal(found.counts[side, number], table)


def _nearest(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    return np.concatenate([(part @ unit.T).argmax(1) for part in np.array_split(wanted, 40)])


def test_rotations_are_rotations_and_turn_no_map_into_itself() -> None:
    rotations = draw_rotations(50, np.random.default_rng(0))
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (50, 1, 1)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    chosen = selection()
    still = spin_areas(load_spheres(), label_meshes(chosen), np.eye(3)[None])
    values = np.arange(2.0 * len(AREAS)).reshape(2, -1)
    for number in range(len(AREAS)):
        one = np.arange(len(AREAS)) == number
        assert still.turned(values, one, "left").tolist() == [number]
        assert still.still(values, one, "right") == len(AREAS) + number


def test_pairs_equal_loops() -> None:
    draw = np.random.default_rng(1)
    made, text, image = draw.normal(size=(3, 6, 4))
    text, image = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (text, image))
    found = embedding_pairs(made, text, image)
    contrast = contrast_pairs(made, text)
    errors = error_pairs(made, text)
    unit = made / np.linalg.norm(made, axis=1, keepdims=True)
    for i in range(6):
        for j in range(6):
            sims = [[float(unit[i] @ target[k]) for k in range(6)] for target in (text, image)]
            assert found["cosine"][i, j] == pytest.approx(np.mean([row[j] for row in sims]))
            wins = [np.mean([row[j] > row[k] for k in range(6) if k != j]) for row in sims]
            assert found["identification"][i, j] == pytest.approx(np.mean(wins))
            logits = np.array(sims[0]) / 0.07
            assert contrast[i, j] == pytest.approx(logits[j] - np.log(np.exp(logits).sum()))
            assert errors[i, j] == pytest.approx(-((made[i] - text[j]) ** 2).mean())


def animator(n_vertices: int) -> tuple[SemanticDecoder, StructureDecoder, MotionGenerator]:
    torch.manual_seed(0)
    semantic = SemanticDecoder(SemanticConfig(n_vertices, 5, 3, 4, head_widths=(6,), blocks=1))
    structure = StructureDecoder(StructureConfig(n_vertices, (2, 4, 4), width=6, blocks=2))
    config = MotionConfig(n_vertices, 3, (2, 4, 4), encoder_width=6, heads=2, layers=1, feedforward_width=8)
    return semantic.eval(), structure.eval(), MotionGenerator(config).eval()


def test_linear_stages_and_their_patterns() -> None:
    semantic, structure, _ = animator(12)
    draw = np.random.default_rng(0)
    bold = draw.normal(size=(40, 12)) @ draw.normal(size=(12, 12))
    before_norm = torch.nn.Sequential(*list(structure.layers)[: 2 + structure.config.blocks])
    with torch.no_grad():
        bias = before_norm(torch.zeros(1, 12))
        expected = (before_norm(torch.from_numpy(bold).float()) - bias).numpy()
    weights = linear_stage(structure)
    np.testing.assert_allclose(bold @ weights.T, expected, atol=1e-4)
    # What a regression of each vertex on the stage's outputs accounts for.
    outputs = bold @ weights.T
    for vertex in range(12):
        centred, x = outputs - outputs.mean(0), bold[:, vertex] - bold[:, vertex].mean()
        fitted = centred @ np.linalg.lstsq(centred, x, rcond=None)[0]
        assert haufe_pattern(bold, weights)[vertex] == pytest.approx((fitted**2).mean(), rel=1e-6)
    first, second = (
        layer.weight.detach().numpy() for layer in (semantic.trunk[0], semantic.trunk[4].layer[0])
    )
    np.testing.assert_allclose(weight_product(semantic.trunk), np.abs((second @ first).mean(0)), rtol=1e-5)


def test_the_second_method_is_judged_by_its_own_errors() -> None:
    draw = np.random.default_rng(0)
    clips = tuple(("test1", index) for index in range(7))
    truth = Features(
        clips,
        draw.normal(size=(7, 5)).astype(np.float32),
        draw.normal(size=(7, 3, 4)).astype(np.float32),
        draw.normal(size=(7, 3, 2, 4, 4)).astype(np.float32),
    )
    networks = animator(12)
    rows = {"test1": np.array([0, 2, 5])}
    image = {"test1": draw.normal(size=(7, 6, 5))}
    bold = {"test1": draw.normal(size=(7, 12)).astype(np.float32)}
    found = AnimatorProbe(*networks, truth, image, rows, 2).pairs(bold)
    with torch.no_grad():
        given = torch.from_numpy(bold["test1"][[0, 2, 5]])
        embedding, states = networks[0](given)
        frames = networks[2].roll_out(given, networks[1](given))
    for i, row in enumerate((0, 2, 5)):
        pairs = {
            "embedding": (embedding[i], truth.embedding[row]),
            "states": (states[i], truth.states[row, 1:]),
            "structure": (frames[i, 0], truth.latents[row, 0]),
            "motion": (frames[i, 1:], truth.latents[row, 1:]),
        }
        for name, (made, target) in pairs.items():
            assert found[name][i, i] == pytest.approx(-((made.numpy() - target) ** 2).mean(), rel=1e-4)


def test_clips_are_spaced_and_fmri_of_other_times_is_far_away() -> None:
    bold = {"a": np.arange(40.0)[:, None], "b": np.arange(20.0)[:, None]}
    assert spaced_clips(bold, 4, 0)["b"].tolist() == [0, 4, 8, 12, 16]
    assert spaced_clips(bold, 4, 2)["a"].tolist() == [0, 20]
    turned = SubjectFmri(bold, {"a": np.arange(80.0).reshape(2, 40, 1)}).at_other_times(3, 1)
    for movie, samples in turned.bold.items():
        n = len(samples)
        shift = (samples[:, 0] - bold[movie][:, 0]) % n
        assert len(set(shift)) == 1
        assert n / 4 <= min(shift[0], n - shift[0])
        assert sorted(samples[:, 0]) == list(range(n))
    np.testing.assert_array_equal(turned.repeats["a"][0], turned.bold["a"])


def write_study(folder: Path) -> dict[str, Any]:
    """Files of a small study and of both methods' networks; returns the program's arguments."""
    chosen = selection(every=100)
    draw = np.random.default_rng(0)
    n = len(chosen.vertex)
    fmri = {}
    for part, movies in (("train", ["seg1"]), ("test", ["test1"])):
        fmri[part] = folder / f"{part}.safetensors"
        bold = {movie: draw.normal(size=(30, n)).astype(np.float32) for movie in movies}
        behind = ["seg1"] if part == "train" else ["seg1", "test1"]
        write_arrays(fmri[part], bold, {"movies": movies, "computed_from": behind})
    embeddings = {
        f"test1/{kind}": draw.normal(size=(30, k, 5)).astype(np.float32)
        for kind, k in (("text", 1), ("image", 3))
    }
    states = draw.normal(size=(1, 3, 4)).astype(np.float32)
    embeddings |= {
        "test1/state_index": np.zeros((30, 1), np.int64),
        "text_states": states,
        "null_states": states[0],
    }
    write_arrays(folder / "embed.safetensors", embeddings, {"movies": ["test1"], "computed_from": ["test1"]})
    latents = {"test1": draw.normal(size=(30, 3, 2, 4, 4)).astype(np.float32)}
    write_arrays(folder / "latents.safetensors", latents, {"movies": ["test1"], "computed_from": ["test1"]})
    write_arrays(folder / "vertices.safetensors", chosen.arrays(), chosen.meta() | {"computed_from": []})
    words = ["a dog" if clip % 2 else "a cake" for clip in range(30)]
    table = pd.DataFrame({"movie": "test1", "clip": range(30), "frame": -1, "caption": words})
    table.to_csv(folder / "captions.tsv", sep="\t", index=False)
    config = FmriEncoderConfig(
        n_vertices=n, patch=4, depth=1, width=8, heads=2, tokens=3, text_width=6, embedding_width=5
    )
    encoder: FmriEncoder = random_encoder(config, 5, 0)
    networks = dict(zip(("semantic", "structure", "motion"), animator(n), strict=True)) | {"encoder": encoder}
    for name, network in networks.items():
        network.save_pretrained(folder / name)
        stamp_weights(folder / name, ["seg1"], "a training")
    return {
        "fmri_train": fmri["train"],
        "fmri_test": fmri["test"],
        "embeddings": [folder / "embed.safetensors"],
        "latents": [folder / "latents.safetensors"],
        "captions": [folder / "captions.tsv"],
        "vertices": folder / "vertices.safetensors",
        "every": 1,
        "seed": 1,
        "settings": RankAreasSettings(spins=5),
        "score": SCORE,
        "device": "cpu",
        "out": folder / "areas.tsv",
        "maps": folder / "areas.safetensors",
    }


def test_program_ranks_areas_of_both_methods(tmp_path: Path) -> None:
    given = write_study(tmp_path)
    encoder = [f"encoder={tmp_path / 'encoder'}"]
    program.main(**given, method="neurocine", networks=encoder, permuted=encoder * 2)
    table = read_table(tmp_path / "areas.tsv")
    assert set(table.columns) < set(json.loads((tmp_path / "areas.json").read_text()))
    assert set(table["decoder"]) == {TRAINED, "permuted1", "permuted2"}
    assert set(table["kind"]) == {"occlusion", "attention", "contrast animal_food"}
    assert set(table[table["kind"] == "occlusion"]["measure"]) == {"contrast", "cosine", "identification"}
    assert (table["exceeds"] == "no").all()  # weights are random
    three = [f"{name}={tmp_path / name}" for name in ("semantic", "structure", "motion")]
    program.main(**given, method="mind_animator", networks=three)
    table = read_table(tmp_path / "areas.tsv")
    assert {"embedding", "states", "structure", "motion"} < set(table["measure"])
    assert set(table[table["measure"] == "structure"]["kind"]) == {"occlusion", "weights", "pattern"}
    _, meta = read_arrays(tmp_path / "areas.safetensors")
    assert meta["contrasts"]["animal_food"] == [15, 15]
    assert meta["computed_from"] == ["seg1", "test1"]


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    given = write_study(tmp_path) | {"networks": [f"encoder={tmp_path / 'encoder'}"]}
    with pytest.raises(InputError, match="neurocine, mind_animator"):
        program.main(**given, method="other")
    (tmp_path / "captions.tsv").write_text("movie\tclip\tcaption\ntest1\t0\ta dog\n")
    with pytest.raises(InputError, match="captions of 1 clips"):
        program.main(**given, method="neurocine")
