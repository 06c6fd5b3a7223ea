"""Paired comparisons against slow loops and scipy, tables over seeds, published values, and the program."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import compare_results as program
from metrics.tiny import write_classifiers
from neurocine.errors import InputError
from neurocine.io import read_table, write_table
from neurocine.metrics.clip_scores import average_seeds, paired_differences
from neurocine.metrics.comparisons import (
    CompareResultsSettings,
    compare_clips,
    compare_pair,
    correct_families,
    pairs_to_compare,
    summarise_clips,
)
from neurocine.metrics.published import StudyFacts, minimal_table
from neurocine.metrics.statistics import (
    PairedDifferences,
    doubled_blocks,
    family_p,
    mean_intervals,
    sign_flip_p,
)
from neurocine.metrics.trainings import TrainedRows
from neurocine.seeds import numpy_generator
from neurocine.simulate.courses import COURSES
from tiny_models import write_clip

SETTINGS = CompareResultsSettings(block_tr=6, draws=2000)
PAPER = StudyFacts(
    dataset="cc2017",
    published=True,
    test_movies=tuple(f"test{n}" for n in range(1, 6)),
    height=256,
    width=256,
    frames_per_tr=6,
    every=1,
    test_repeats="mean",
)
METRICS = ("ssim_mv", "acc_image_50_any3")


def clip_table(level: float, seeds: tuple[int, ...] = (7,), noise: int = 0, every: int = 2) -> pd.DataFrame:
    """Scores of clips of two movies; the movies' own course is shared by all tables."""
    course = np.random.default_rng(0).normal(0, 0.1, (2, 60, 2))
    rows = []
    for seed in seeds:
        own = np.random.default_rng([noise, seed]).normal(0, 0.02, course.shape)
        for movie, clip in itertools.product(range(2), range(0, 60, every)):
            values = dict(zip(METRICS, level + course[movie, clip] + own[movie, clip], strict=True))
            rows.append({"movie": f"test{(10, 2)[movie]}", "clip": clip, "seed": seed, **values})
    return pd.DataFrame(rows)


def owned(table: pd.DataFrame, subject: str, experiment: str, condition: str = "fmri") -> pd.DataFrame:
    return table.assign(subject=subject, method="neurocine", experiment=experiment, condition=condition)


def test_sign_flips_equal_scipy_on_block_sums() -> None:
    random = np.random.default_rng(0)
    values = [random.normal(0.3, 1, (20, 2)), random.normal(0.3, 1, (13, 2))]
    clips = [np.arange(20), np.arange(0, 26, 2)]
    found = sign_flip_p(values, clips, 6, 10_000, random)
    sums = np.array(
        [
            v[(c >= start) & (c < start + 6)].sum(0)
            for v, c in zip(values, clips, strict=True)
            for start in range(0, 30, 6)
            if ((c >= start) & (c < start + 6)).any()
        ]
    )
    assert len(sums) == 4 + 5
    for column in range(2):
        exact = stats.permutation_test(
            (sums[:, column],), np.sum, permutation_type="samples", n_resamples=np.inf
        )
        assert found[column] == pytest.approx(exact.pvalue)


def test_drawn_sign_flips_follow_the_plus_one_rule() -> None:
    values = [np.full((240, 1), 1.0)]
    p = sign_flip_p(values, [np.arange(240)], 15, 1000, np.random.default_rng(0))
    assert p[0] == pytest.approx(1 / 1001, abs=1 / 1001)
    assert sign_flip_p([values[0] * 0], [np.arange(240)], 15, 1000, np.random.default_rng(0))[0] == 1
    assert np.isnan(sign_flip_p([values[0] * np.nan], [np.arange(240)], 15, 1000, np.random.default_rng(0)))


def test_p_values_are_calibrated_for_slow_differences() -> None:
    """Scenes of 10 clips, no effect: one comparison in twenty is below 0.05."""
    random = np.random.default_rng(1)
    scenes = np.repeat(random.normal(size=(24, 400)), 10, axis=0)
    p = sign_flip_p([scenes], [np.arange(240)], 20, 1000, random)
    assert 0.02 < (p < 0.05).mean() < 0.09
    wrong = sign_flip_p([scenes], [np.arange(240)], 1, 1000, random)
    assert (wrong < 0.05).mean() > 0.3  # single clips would be taken for independent


def test_differences_are_paired() -> None:
    first = average_seeds(clip_table(0.31, noise=1), "first")
    second = average_seeds(clip_table(0.30, noise=2), "second")
    paired = paired_differences(first, second, "both")
    table, differences = compare_pair(paired, SETTINGS, 5)
    assert differences.movies == ["test2", "test10"]
    difference = first.values - second.values
    np.testing.assert_allclose(table["difference"], difference.mean())
    assert list(table.index) == list(METRICS)
    # The movies' course, much larger than the difference, falls out of it.
    assert ((table["ci_high"] - table["ci_low"]) < 0.02).all()
    assert (first.values.std() > 0.08).all()
    assert (table["n_clips"] == 60).all()
    parts = [difference.loc[movie].to_numpy() for movie in ("test2", "test10")]
    generator = numpy_generator(5, "compare_results", "bootstrap")
    found = mean_intervals(parts, [np.arange(0, 60, 2)] * 2, 6, 2000, generator)
    np.testing.assert_allclose(table["ci_low"], found.low)
    assert set(table["block_tr"]) <= {6, 12}
    same, _ = compare_pair(paired_differences(first, first, "same"), SETTINGS, 5)
    assert (same["difference"] == 0).all()
    assert (same["p_value"] == 1).all()


def simulated(kind: str, n_metrics: int, seed: int, shared: float = 0.0) -> PairedDifferences:
    """Differences of two movies of 240 TR, every clip; metrics have the share ``shared`` in common."""
    random = np.random.default_rng(seed)
    values = []
    for _ in range(2):
        own = COURSES[kind](random, (240, n_metrics + 1))
        values.append(own[:, 1:] * (1 - shared) + own[:, :1] * shared)
    return PairedDifferences(["a", "b"], values, [np.arange(240)] * 2)


@pytest.mark.parametrize(
    ("kind", "most"), [("independent", 0.075), ("scenes", 0.075), ("long scenes", 0.075), ("minutes", 0.11)]
)
def test_p_of_comparisons_has_its_size(kind: str, most: float) -> None:
    """One in twenty is below .05; blocks of 15 TR for all gave .09 of long scenes, .28 of minutes."""
    differences = simulated(kind, 500, 1)
    blocks = doubled_blocks(differences, 15)
    p_values = np.empty(500)
    for length in np.unique(blocks):
        chosen = blocks == length
        parts = [part[:, chosen] for part in differences.values]
        p_values[chosen] = sign_flip_p(parts, differences.clips, length, 1000, np.random.default_rng(2))
    assert 0.02 < (p_values <= 0.05).mean() < most


def test_blocks_grow_with_the_scores_memory() -> None:
    quick, slow = (doubled_blocks(simulated(kind, 20, 3), 15) for kind in ("independent", "chapters"))
    assert (quick == 15).all()
    assert set(slow) <= {30, 60}
    assert np.median(slow) == 60  # a quarter of the movie, the longest there is


def test_families_err_once_in_twenty() -> None:
    """24 tests of each study (2 subjects, 3 pairs, 4 metrics) without any effect: one below .05 in .05."""
    wrong = uncorrected = 0
    for seed in range(150):
        tests = [simulated("scenes", 4, 1000 * seed + number, shared=0.5) for number in range(6)]
        blocks = [np.full(4, 15)] * 6
        found = np.concatenate(family_p(tests, blocks, 15, 400, np.random.default_rng(seed)))
        wrong += found.min() <= 0.05
        single = [sign_flip_p(t.values, t.clips, 15, 400, np.random.default_rng(seed)).min() for t in tests]
        uncorrected += min(single) <= 0.05
    assert 0.01 < wrong / 150 < 0.1
    assert uncorrected / 150 > 0.3


def test_corrected_p_equals_a_slow_loop() -> None:
    tests = [simulated("scenes", 3, 7), simulated("scenes", 2, 8)]
    tests[1].values[0][:, 1] += 0.6
    blocks = [np.array([15, 30, 15]), np.array([60, 15])]
    found = np.concatenate(family_p(tests, blocks, 15, 300, np.random.default_rng(4)))
    signs = np.random.default_rng(4).integers(2, size=(300, 32)).astype(float) * 2 - 1
    every, observed = [], []
    for test, lengths in zip(tests, blocks, strict=True):
        for column, length in enumerate(lengths):
            sums, places = [], []
            for movie in range(2):
                for start in range(0, 240, length):
                    sums.append(test.values[movie][start : start + length, column].sum())
                    places.append(movie * 16 + start // 15)
            scale = np.sqrt(np.square(sums).sum())
            every.append(np.abs(signs[:, places] @ sums) / scale)
            observed.append(abs(sum(sums)) / scale)
    order = np.argsort(observed)[::-1]
    largest, slow = 0.0, np.empty(5)
    for rank, place in enumerate(order):
        most = np.max([every[other] for other in order[rank:]], axis=0)
        largest = max(largest, (1 + np.sum(most >= observed[place] - 1e-12)) / 301)
        slow[place] = largest
    np.testing.assert_allclose(found, slow)


def test_metrics_that_say_the_same_cost_nothing() -> None:
    one = simulated("scenes", 1, 11)
    one.values[0][:] += 0.5
    copies = [PairedDifferences(one.movies, [np.tile(v, (1, 50)) for v in one.values], one.clips)]
    alone = family_p([one], [np.full(1, 15)], 15, 2000, np.random.default_rng(0))[0][0]
    among = family_p(copies, [np.full(50, 15)], 15, 2000, np.random.default_rng(0))[0]
    assert (among == alone).all()


def test_equal_and_missing_differences() -> None:
    values = [np.stack([np.zeros(60), np.full(60, np.nan), np.ones(60)], axis=1)]
    one = PairedDifferences(["a"], values, [np.arange(60)])
    found = family_p([one], [np.full(3, 15)], 15, 1000, np.random.default_rng(0))[0]
    assert found[0] == 1
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(2 / 16, abs=0.03)  # four blocks of one sign, or of the other


def test_each_kind_of_test_is_a_family_of_its_own() -> None:
    table = pd.DataFrame({"kind": "experiment", "block_tr": [6], "p_value": [0.001], "tested_over": "clips"})
    untested = table.assign(p_value=np.nan, tested_over="none: trained once")
    trained = [table.assign(p_value=p, tested_over="trainings and clips") for p in (0.01, 0.03, 0.04)]
    differences = simulated("scenes", 1, 2)
    corrected = correct_families([table, untested, *trained], [differences] * 5, SETTINGS, 0)
    alone = correct_families([table], [differences], SETTINGS, 0)[0]
    pd.testing.assert_frame_equal(corrected[0], alone)
    assert corrected[1]["p_family"].isna().all()
    assert [part["p_family"].item() for part in corrected[2:]] == pytest.approx([0.03, 0.06, 0.06])


def test_other_clips_are_not_compared() -> None:
    first, second = average_seeds(clip_table(0.3), "a"), average_seeds(clip_table(0.3, every=3), "b")
    with pytest.raises(InputError, match="60 and 40 clips"):
        paired_differences(first, second, "both")
    table = clip_table(0.3, (1, 2))
    for wrong in (table.iloc[:-1], pd.concat([table, table.iloc[:1]])):
        with pytest.raises(InputError, match="twice or with some seeds"):
            average_seeds(wrong, "x")


def test_seeds_are_averaged_and_their_spread_is_told() -> None:
    table = clip_table(0.3, (1, 2, 3))
    summary = summarise_clips(average_seeds(table, "x"), SETTINGS, 0)
    each = table.groupby("seed")[list(METRICS)].mean()
    np.testing.assert_allclose(summary["value"], each.mean())
    np.testing.assert_allclose(summary["seed_sd"], each.std(ddof=1))
    assert (summary["seeds"] == 3).all()
    assert (summary["n_clips"] == 60).all()
    assert ((summary["ci_low"] < summary["value"]) & (summary["value"] < summary["ci_high"])).all()
    assert summarise_clips(average_seeds(clip_table(0.3), "x"), SETTINGS, 0)["seed_sd"].isna().all()


def test_what_is_compared_with_what() -> None:
    known = [("a", "e1", "fmri"), ("a", "e1", "noise"), ("a", "e2", "fmri"), ("b", "e1", "fmri")]
    assert pairs_to_compare([*known, ("a", "e3", "vae")], "") == [
        ("condition", known[0], known[1]),
        ("experiment", known[2], known[0]),
        ("method", known[3], known[0]),
    ]
    assert ("experiment", known[0], known[2]) in pairs_to_compare(known, "e2")


def test_every_experiment_is_compared_with_every_baseline_method_and_methods_by_their_first() -> None:
    first, other = ("neurocine", "paper_main", "fmri"), ("mind_animator", "animator", "fmri")
    row = ("mind_animator", "animator_code", "fmri")
    ridge = [("ridge", name, "fmri") for name in ("ridge_retrieval", "ridge_latents")]
    pairs = pairs_to_compare([first, other, row, *ridge], "")
    assert [pair[1:] for pair in pairs if pair[0] == "method"] == [(other, first)]
    assert [pair[1:] for pair in pairs if pair[0] == "to beat"] == [
        (result, baseline) for result in (first, other, row) for baseline in ridge
    ]
    assert ("experiment", ridge[1], ridge[0]) in pairs


def test_metrics_that_a_condition_lacks_are_left_out_there_only() -> None:
    lacking = owned(clip_table(0.2).assign(ssim_mv=np.nan), "1", "e1", "caption")
    summary, comparisons = compare_clips(
        [owned(clip_table(0.3), "1", "e1"), lacking], "toy", SETTINGS, 0, TrainedRows()
    )
    assert summary.groupby("condition")["metric"].count().to_dict() == {"caption": 1, "fmri": 2}
    assert comparisons["metric"].tolist() == ["acc_image_50_any3"]
    alone, nothing = compare_clips([lacking], "toy", SETTINGS, 0, TrainedRows())
    assert (len(alone), len(nothing)) == (1, 0)


def test_program(tmp_path: Path) -> None:
    files, long = [], []
    for subject, experiment, level in (
        ("1", "paper_main", 0.3),
        ("1", "mine", 0.33),
        ("2", "paper_main", 0.2),
    ):
        path = tmp_path / f"sub-{subject}/neurocine/{experiment}/clip_scores.tsv"
        fmri = clip_table(level, (7, 8), noise=1).assign(condition="fmri", other=1.0)
        noise = clip_table(level - 0.1, noise=2).assign(condition="noise", other=0.5)
        write_table(path, pd.concat([fmri, noise]))
        files.append(path)
        for condition, metric, seed in itertools.product(("fmri", "noise"), (*METRICS, "other"), (7, 8)):
            row = {"dataset": "toy", "subject": int(subject), "method": "neurocine", "experiment": experiment}
            row |= {
                "condition": condition,
                "metric": metric,
                "seed": seed,
                "chance": 0.05,
                "p_holm": seed / 100,
            }
            row |= {"null_mean": 0.1 * seed, "baseline_constant": 0.2, "baseline_mean_frame": 0.25}
            row["chance"] = 0.05
            long.append(row)
    write_table(tmp_path / "scores.tsv", pd.DataFrame(long))
    outs = {name: tmp_path / f"{name}.tsv" for name in ("out_results", "out_comparisons", "out_published")}
    facts = PAPER.replace(dataset="toy", published=False)
    given = {"scores": tmp_path / "scores.tsv", "study": facts, "seed": 3, "settings": SETTINGS}
    image, video = write_classifiers(tmp_path)
    write_clip(tmp_path / "vifi")
    given["trained"] = TrainedRows()
    given["networks"] = [
        f"image_classifier={image}",
        f"video_classifier={video}",
        f"vifi={tmp_path / 'vifi'}",
    ]
    program.main(clip_scores=files, **given, **outs)
    results, comparisons, published = (read_table(path) for path in outs.values())
    assert results["metric"].tolist() == list(METRICS) * 6
    row = results.iloc[0]
    assert (row["condition"], row["seeds"], row["n_clips"]) == ("fmri", 2, 60)
    assert row["null_mean"] == pytest.approx(0.75)
    assert row["p_holm"] == pytest.approx(0.08)
    assert (row["baseline_constant"], row["baseline_mean_frame"], row["chance"]) == (0.2, 0.25, 0.05)
    assert row["value"] == pytest.approx(
        read_table(files[0]).query("condition == 'fmri'")["ssim_mv"].mean(), abs=1e-6
    )
    kinds = comparisons.groupby(["subject", "kind"])["metric"].count().to_dict()
    assert kinds == {(1, "condition"): 6, (1, "experiment"): 3, (2, "condition"): 3}
    own = comparisons[comparisons["kind"] == "experiment"].set_index("metric")
    assert own.loc["ssim_mv", "difference"] == pytest.approx(0.03, abs=0.01)
    # One training each: no p, however clear the difference on these clips.
    assert own[["p_value", "p_family"]].isna().all(axis=None)
    assert own.loc["ssim_mv", "ci_low"] > 0.02
    conditions = comparisons[comparisons["kind"] == "condition"]
    assert (conditions["p_family"] >= conditions["p_value"]).all()
    assert conditions["p_family"].max() < 0.01
    assert own.loc["ssim_mv", ["first", "second"]].tolist() == ["neurocine mine", "neurocine paper_main"]
    assert (len(published), set(published["comparable"])) == (390, {"no"})
    ours = published[published["value"].notna()]
    assert ours["reason"].str.contains("measured on cc2017, not on toy").all()
    assert set(ours["subject"]) == {"1", "2"}
    vifi = published[published["named"] == "vifi_clip"]["reason"]
    assert vifi.str.contains(
        "scored by CLIP ViT-B/16, shortest edge 256, crop 224, ImageNet statistics"
    ).any()
    assert vifi.str.contains("shortest edge 16, crop 16, CLIP statistics").any()
    written = ours[ours["metric"] == "acc_image_50_any3"]["reason"]
    assert written.str.contains(
        "scored by ViT-B/16 of 1000 classes, here ViT-(16 wide, 1 layers)/8 of 56", regex=False
    ).all()
    program.main(clip_scores=files, **given, **{name: path.with_suffix(".2") for name, path in outs.items()})
    for path in outs.values():
        assert path.read_bytes() == path.with_suffix(".2").read_bytes()
    write_table(tmp_path / "clip_scores.tsv", clip_table(0.1).assign(condition="fmri"))
    with pytest.raises(InputError, match="another path"):
        program.main(clip_scores=[tmp_path / "clip_scores.tsv"], **given, **outs)


def test_settings_out_of_range_are_refused() -> None:
    for name, wrong in (("block_tr", 0), ("draws", 10), ("level", 1.0)):
        with pytest.raises(ValueError, match=name):
            CompareResultsSettings(**{name: wrong})


def test_minimal_table_lists_its_metrics_in_order() -> None:
    names = ["psnr255", "acc_video_50_single", "mine", "epe_ma", "ssim_mv", "acc_image_2_any3"]
    keys = {"dataset": "toy", "subject": "1", "method": "m", "experiment": "e", "condition": "fmri"}
    summary = pd.DataFrame([keys | {"metric": name, "value": 1.0} for name in names])
    blank = dict.fromkeys(("chance", "null_mean", "baseline_constant", "baseline_mean_frame", "p_holm"), 0.0)
    scores = pd.DataFrame([keys | blank | {"metric": name, "seed": 1} for name in names])
    found = minimal_table(summary, scores)["metric"].tolist()
    assert found == ["ssim_mv", "psnr255", "acc_image_2_any3", "acc_video_50_single", "epe_ma"]
