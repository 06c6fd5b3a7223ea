"""The page of results: complete, well formed, without network; in a browser it obeys mouse and keys."""

import html.parser
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import build_browser as program
from neurocine.errors import InputError
from neurocine.report.browser import BuildBrowserSettings
from neurocine.report.figures import (
    BOTTOM,
    HEIGHT,
    LEFT,
    TOP,
    WIDTH,
    axis_range,
    interval_curve,
    read_log,
    round_ticks,
    thin,
    track,
)
from neurocine.report.markup import number, p_text
from neurocine.report.study import Order, Owner
from neurocine.stimuli.video import write_video
from report.chromium import CHROMIUM, Page, chromium

VOID = {"wbr", "meta", "link", "img", "br", "input", "hr", "line", "polyline", "polygon"}
METRICS = {"ssim_mv": (0.2, float("nan")), "acc_image_50_any3": (0.058, 0.058)}


def make_scores() -> pd.DataFrame:
    """Three subjects, two experiments, a result and its control; only subject 1 is above the null."""
    rows = []
    for subject in ("10", "1", "2"):
        for experiment in ("exp<00>", "paper_main"):
            for condition in ("fmri", "shifted"):
                for metric, (null, chance) in METRICS.items():
                    value = null + (0.3 if subject == "1" and condition == "fmri" else 0.001 * int(subject))
                    rows.append(
                        {
                            **{"dataset": "toy", "subject": subject, "method": "neurocine"},
                            **{"experiment": experiment, "condition": condition, "metric": metric},
                            **{"value": value, "chance": chance, "null_mean": null, "null_p99": null + 0.1},
                            **{"p_value": 0.001, "p_holm": 0.002, "baseline_constant": 0.1},
                            **{"baseline_mean_frame": 0.15, "ci_low": value - 0.05, "ci_high": value + 0.05},
                            **{"n_clips": 60, "seed": 1},
                        }
                    )
    # The other method's value lies below all others.
    other = next(row for row in rows if row["subject"] == "2" and row["experiment"] == "paper_main")
    vae = other | {"condition": "vae", "value": 0.02}
    return pd.DataFrame([*rows, vae, other | {"method": "other", "value": 0.01}])


def make_comparisons() -> pd.DataFrame:
    """Two paired differences, of conditions and of methods."""
    shared = {"dataset": "toy", "subject": 2, "metric": "ssim_mv", "n_clips": 60, "first_seeds": 1}
    shared |= {"second_seeds": 1, "difference": 0.25, "ci_low": 0.2, "ci_high": 0.3, "p_value": 0.0001}
    return pd.DataFrame(
        [
            {**shared, "kind": kind, "first": first, "second": second, "p_holm": 0.02}
            for kind, first, second in (
                ("condition", "neurocine paper_main fmri", "neurocine paper_main shifted"),
                ("method", "other paper_main", "neurocine paper_main"),
            )
        ]
    )


def make_published() -> pd.DataFrame:
    """A value that may be compared, one that may not."""
    row = {"source": "Table 1", "system": "NeuroCine", "subject": 1, "metric": "ssim_mv", "published": 0.225}
    row |= {"year": 2024, "dataset": "CC2017", "value": 0.211, "ci_low": 0.2, "ci_high": 0.22, "seeds": 1}
    same = {"experiment": "paper_main", "comparable": "yes", "reason": "", "note": ""}
    other = {"experiment": "exp<00>", "comparable": "no", "note": "perhaps not run again"}
    other |= {"reason": "not comparable: all clips, here 1 of 3"}
    foreign = {"system": "Someone", "subject": "", "experiment": "", "metric": "ssim", "comparable": "no"}
    foreign |= {"value": np.nan, "ci_low": np.nan, "ci_high": np.nan, "note": ""}
    foreign |= {"reason": "not comparable: its subjects are not stated"}
    return pd.DataFrame([row | same, row | other, row | foreign])


def make_summary() -> pd.DataFrame:
    """The mean over three seeds of one score."""
    numbers = {"value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "null_mean": 0.2, "chance": np.nan}
    numbers |= {"baseline_constant": 0.1, "baseline_mean_frame": 0.15, "p_holm": 0.002, "n_clips": 60}
    names = {"subject": 1, "method": "neurocine", "experiment": "paper_main", "condition": "fmri"}
    return pd.DataFrame([{**names, "metric": "ssim_mv", **numbers, "seeds": 3, "seed_sd": 0.0123}])


def make_lag_sweep() -> pd.DataFrame:
    """Two subjects: the best lag is 1 TR for both; only subject 10 has curves over repeats."""
    rows = []
    for subject, repeats in (("10", (4, 1, 2)), ("2", (1,))):
        for lag, count in [*((lag, repeats[0]) for lag in (-1, 0, 1, 2)), *((0, n) for n in repeats[1:])]:
            row = {"subject": subject, "lag_tr": lag, "test_repeats": count, "n_clips": 30}
            for score, chance in (("cosine", 0.0), ("identification", 0.5)):
                value = chance + 0.2 - 0.05 * abs(lag - 1) - 0.01 * (repeats[0] - count)
                row |= {score: value, f"{score}_low": value - 0.02, f"{score}_high": value + 0.04}
                row[f"{score}_chance"] = chance
            rows.append(row)
    return pd.DataFrame(rows)


def make_attention() -> pd.DataFrame:
    """One attention row, one of a hemisphere, one occlusion row."""
    shared = {"area": "V1", "group": "early", "vertices": 10}
    full = {"kind": "attention", "stage": "full", "layer": 3, **shared}
    return pd.DataFrame(
        [
            {**full, "hemisphere": "both", "importance_softmax": 1.234},
            {**full, "hemisphere": "left", "importance_softmax": 9.876},
            {
                "kind": "occlusion",
                "stage": "contrastive",
                **shared,
                "hemisphere": "both",
                "fall_cosine": 0.0123,
            },
        ]
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the page of a small study."""
    root = tmp_path_factory.mktemp("study") / "results" / "toy"
    (root / "tables").mkdir(parents=True)
    make_scores().to_csv(root / "tables/scores.tsv", sep="\t", index=False, na_rep="nan")
    media: dict[str, list[Path]] = {"strips": [], "clips": [], "maps": [], "controls": []}
    media |= {"attention_tables": [], "result_tables": [], "noise_ceilings": []}
    film = [np.full((32, 64, 3), 40 * n, np.uint8) for n in range(6)]
    for subject in ("1", "2"):
        folder = root / f"sub-{subject}/neurocine/paper_main"
        for name in (
            "strips/median",
            "strips/best",
            "strips/random",
            "maps/overview",
            "controls/shifted/best",
        ):
            path = folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (60, 20), (int(subject) * 90, 20, 90)).save(path)
            media[name.partition("/")[0]].append(path)
        for kind, name in (("strips", "best"), ("strips", "random"), ("controls", "shifted/best")):
            media[kind].append(folder / kind / f"{name}.mp4")
            write_video(media[kind][-1], film, 3.0)
        media["clips"].append(folder / "clips/test1.mp4")
        write_video(media["clips"][-1], film, 3.0)
        media["attention_tables"].append(folder / "maps/attention.tsv")
        make_attention().to_csv(media["attention_tables"][-1], sep="\t", index=False, na_rep="nan")
        media["result_tables"].append(folder / "clip_scores.tsv")
        media["result_tables"][-1].write_text("movie\tclip\n")
        media["noise_ceilings"].append(root / f"sub-{subject}/noise_ceiling.tsv")
        ceiling = {"group": "early", "area": "V1", "n_vertices": 12, "signal_share": 0.4, "reliability": 0.6}
        ceiling |= {"ceiling_single": 0.6325, "ceiling_mean": 0.7777}
        pd.DataFrame([ceiling]).to_csv(media["noise_ceilings"][-1], sep="\t", index=False)
    frames = {"summary": make_summary(), "comparisons": make_comparisons(), "published": make_published()}
    for name, frame in frames.items():
        frame.to_csv(root / f"tables/{name}.tsv", sep="\t", index=False, na_rep="nan")
    for name, seconds in (("decode/sub-1_paper_main_fmri", 7200), ("train_video_prior/beta0.75", 1800)):
        path = root / f"benchmarks/{name}.tsv"
        path.parent.mkdir(parents=True)
        path.write_text(f"s\tmax_rss\tcpu_time\n{seconds}\t2500\t{seconds}\n")
    make_lag_sweep().to_csv(root / "tables/lag_sweep.tsv", sep="\t", index=False)
    log = root / "sub-1/train_encoder/plain/log.jsonl"
    log.parent.mkdir(parents=True)
    lines = [{"step": 10 * n, "loss": 5.0 - n, "lr": 1.0, "seconds": n} for n in range(1, 4)]
    lines[-1]["validation"] = {"loss": 2.5}  # type: ignore[assignment]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = {
        "dataset": "toy <b>&</b>",
        "movies": {"train": ["seg1"], "test": ["test1"]},
        "experiments": {"paper_main": {"noise_ratio": 0.75}, "exp<00>": {"augment": False}},
        "train_encoder": {"steps": 30, "note": "</script><script>alert(1)</script>"},
    }
    program.main(
        scores=root / "tables/scores.tsv",
        config=json.dumps(config),
        out=root / "browser/index.html",
        settings=BuildBrowserSettings(),
        logs=[log],
        lag_sweep=[root / "tables/lag_sweep.tsv"],
        **media,
        **{name: root / f"tables/{name}.tsv" for name in frames},
        benchmarks=root / "benchmarks",
        asked=json.dumps({"decode": {"gpus": 2, "memory_gb": 32.0}}),
    )
    return root / "browser/index.html"


class Tree(html.parser.HTMLParser):
    """Checks that elements close in order and collects addresses and ids."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [values[name] or "" for name in ("src", "href") if name in values]
        self.ids += [values["id"] or ""] if "id" in values else []
        assert len(values) == len(attrs), f"an attribute twice in {tag}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self.open.pop() == tag, f"{tag} closed out of order"


def test_page_is_well_formed_and_needs_no_network(page: Path) -> None:
    text = page.read_text()
    tree = Tree()
    tree.feed(text)
    assert tree.open == []
    assert len(set(tree.ids)) == len(tree.ids)
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    for address in tree.addresses:
        if address.startswith("#"):
            assert address[1:] in tree.ids
        elif address != "data:,":
            assert address.startswith("assets/")
            assert (page.parent / address).is_file()
    assert "$" not in re.sub(r"<script>.*?</script>", "", text, flags=re.S)


def test_text_is_escaped(page: Path) -> None:
    text = page.read_text()
    assert "<b>&</b>" not in text
    assert "toy &lt;b&gt;&amp;&lt;/b&gt;" in text
    assert "alert(1)</script>" not in text
    data = re.compile(r'<script type="application/json".*?</script>')
    assert "exp<00>" not in data.sub("", text)
    rows = data.search(text)
    assert rows
    assert "</" not in rows[0].removesuffix("</script>")


def test_page_holds_values_beside_chance_and_null(page: Path) -> None:
    text = page.read_text()
    data = re.search(r'<script type="application/json" id="scores-rows">(.*?)</script>', text)
    assert data
    lines = [html for html, *_ in json.loads(data[1])]
    row = next(line for line in lines if 'data-metric="acc_image_50_any3"' in line)
    assert 'data-subject="1"' in row
    assert 'data-method="neurocine"' in row
    assert 'data-experiment="paper_main"' in row  # first in the config
    assert 'data-above="yes"' in row
    for shown in ("0.358", "0.308 – 0.408", "0.058", "0.158", "0.001", "0.002", "0.150"):
        assert shown in row
    assert sum('data-above="yes"' in line for line in lines) == 4  # subject 1, two experiments, two metrics


def test_all_conditions_stand_together_beside_chance_and_null(page: Path) -> None:
    text = page.read_text()
    panel = re.search(r'<div class="panel"><h4>acc_image_50_any3 .*?</ul></div>', text)
    assert panel
    assert "chance 0.058" in panel[0]
    plain = re.sub(r"<[^>]*>", " ", panel[0]).split()
    numbers = " ".join(plain)
    for line in ("fmri 0.358 0.058", "shifted 0.059 0.058", "grey 0.100 –", "mean frame 0.150 –"):
        assert line in numbers
    assert numbers.index("Result fmri") < numbers.index("without the right fMRI shifted")
    assert "<dt>shifted</dt><dd>fMRI of another time of the movie</dd>" in text


def test_page_holds_media_maps_curves_and_settings(page: Path) -> None:
    text = page.read_text()
    shown = text.partition("<template")[0]
    strips = re.findall(r'<img src="([^"]*strips[^"]*)"', shown)
    assert [Path(name).stem for name in strips[:3]] == ["random", "best", "median"]
    assert shown.count("1 more strips") == 2
    films = [Path(name).stem for name in re.findall(r'<video [^>]*src="([^"]*)"', shown)]
    assert films == ["random", "best", "test1"] * 2
    assert "assets/sub-1/neurocine/paper_main/controls/" not in shown
    assert "1.234" in text
    assert "9.876" not in text  # single hemispheres only in the file
    assert "0.0123" in text
    assert "loss over steps: training ends at 2, validation ends at 2.5" in text
    assert "<code>30</code>" in text
    for name in ("scores", "summary", "comparisons", "published"):
        assert (page.parent / f"assets/tables/{name}.tsv").is_file()


def test_page_holds_comparisons_ceilings_and_cost(page: Path) -> None:
    text = page.read_text()
    lines = [line.replace("<wbr>", "") for line in text.splitlines() if line.startswith("<tr")]
    rows = [re.sub(r"<[^>]*>", " ", line).split() for line in lines]
    plain = [" ".join(row) for row in rows]
    said = "not comparable: all clips, here 1 of 3; perhaps not run again"
    ours, where = "NeuroCine 1 ssim_mv 0.225 0.211 0.200 – 0.220", "Table 1 2024 CC2017"
    assert f"{ours} {said} exp&lt;00&gt; {where}" in plain
    assert f"{ours} yes paper_main {where}" in plain
    assert f"Someone ssim 0.225 – – not comparable: its subjects are not stated {where}" in plain
    conditions = "neurocine paper_main fmri neurocine paper_main shifted"
    assert f"2 condition {conditions} ssim_mv 0.250 0.200 – 0.300 &lt; 0.001 0.020 60" in plain
    assert "1 early V1 12 0.400 0.600 0.632 0.778" in plain
    assert "decode 1 1 2.0 h 2.0 h 4.0 h 2.5 32.0" in plain
    assert "train_video_prior all 1 30.0 min 30.0 min – 2.5 –" in plain
    means = "1 neurocine paper_main fmri ssim_mv 0.500 0.400 – 0.600 0.200 – 0.100 0.150 0.002 60 3 0.012"
    assert means in plain


def test_page_draws_the_lag_sweep_of_each_subject(page: Path) -> None:
    text = page.read_text()
    section = text.partition('id="lags"')[2].partition("</section>")[0]
    cards = section.split("<article")[1:]
    assert [re.findall(r"Subject (\w+)", card) for card in cards] == [["2"], ["10"]]
    assert 'data-subject="10"' in cards[1]
    said = re.findall(r'aria-label="([^"]*)"', cards[1])
    assert said == [
        "cosine by lag, TR: highest 0.200 at 1, chance 0",
        "identification by lag, TR: highest 0.700 at 1, chance 0.5",
        "cosine by test repeats: highest 0.150 at 4, chance 0",
        "identification by test repeats: highest 0.650 at 4, chance 0.5",
    ]
    assert len(re.findall("<svg", cards[0])) == 2  # one repeat makes no curve
    assert "0: 0.650, 95 % interval 0.630 to 0.690" in cards[1]
    assert 'href="assets/tables/lag_sweep.tsv"' in section
    assert (page.parent / "assets/tables/lag_sweep.tsv").is_file()


def test_an_interval_curve_lies_where_its_values_are() -> None:
    drawn = interval_curve("x by lag", [(-1, 0.0, -0.5, 0.5), (1, 1.0, 0.5, 1.5)], 0.0)
    circles = re.findall(r'<circle class="mean" cx="([\d.]+)" cy="([\d.]+)"', drawn)
    (left, low), (right, high) = [tuple(map(float, place)) for place in circles]
    assert (left, right) == (LEFT, WIDTH - 8)
    # Heights run down; values from -0.5 to 1.5 with air of 0.1 on each side fill the drawing.
    inside = HEIGHT - TOP - BOTTOM
    assert low == pytest.approx(TOP + inside * 1.6 / 2.2, abs=0.1)
    assert high == pytest.approx(TOP + inside * 0.6 / 2.2, abs=0.1)
    chance = re.search(r'<polyline class="chance" points="[\d.]+,([\d.]+) [\d.]+,([\d.]+)"', drawn)
    assert chance
    assert chance[1] == chance[2] == f"{low:.1f}"


def test_equal_results_give_equal_pages_and_stale_files_go(page: Path, tmp_path: Path) -> None:
    stale = tmp_path / "assets/sub-9/neurocine/old/clips/test1.mp4"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"old")
    pages = []
    for _ in range(2):
        program.main(
            scores=page.parent / "assets/tables/scores.tsv",
            config="{}",
            out=tmp_path / "index.html",
            settings=BuildBrowserSettings(title="again"),
        )
        pages.append((tmp_path / "index.html").read_bytes())
    assert pages[0] == pages[1]
    assert b"No films were made" in pages[0]
    assert b"snakemake lag_sweep makes it" in pages[0]
    assert [path.name for path in (tmp_path / "assets").rglob("*") if path.is_file()] == ["scores.tsv"]


def test_media_outside_the_layout_are_refused(page: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sub-<subject>"):
        program.owner_of(tmp_path / "clips/test1.mp4")
    with pytest.raises(InputError, match="no such file"):
        program.copy_medium(Path("sub-1/neurocine/main/clips/none.mp4"), tmp_path, "clips")


# In a browser

ROWS = 'Array.from(document.querySelectorAll("#scores-table tbody tr")).filter((r) => !r.hidden)'
FIRST = "#scores-table tbody tr:not([hidden])"


def column(window: Page, number: int) -> list[str]:
    """Texts of a column of the visible scores."""
    found: list[str] = window.run(f"{ROWS}.map((r) => r.cells[{number - 1}].textContent)")
    return found


def head(number: int) -> str:
    return f"#scores-table th:nth-child({number}) button"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    with chromium(tmp_path_factory.mktemp("profile")) as window:
        yield window


@pytest.fixture
def window(browser: Page, page: Path) -> Iterator[Page]:
    """The page, opened afresh; no script may fail and nothing may be asked of a network."""
    browser.open(page)
    yield browser
    assert browser.errors == []
    assert all(address.startswith(("file:", "data:")) for address in browser.requests)


def test_headers_sort(window: Page) -> None:
    assert len(column(window, 1)) == 26
    window.click(head(1))
    assert list(dict.fromkeys(column(window, 1))) == ["1", "2", "10"]
    assert window.run("document.querySelector('#scores-table th').ariaSort") == "ascending"
    window.click(head(1))
    assert list(dict.fromkeys(column(window, 1))) == ["10", "2", "1"]
    window.click(head(7))
    assert [column(window, 7)[place] for place in (0, -1)] == ["0.058", "–"]  # missing numbers last
    assert window.run("document.querySelectorAll('#scores-table [aria-sort]').length") == 1
    window.click(head(2))
    assert column(window, 2)[-1] == "other"
    window.click(head(6))
    values = [float(text.split()[0]) for text in column(window, 6)]
    assert values == sorted(values, reverse=True)  # large numbers first
    assert values[-1] == 0.01


def test_filters_narrow_everything(window: Page) -> None:
    window.choose("method", "other")
    assert column(window, 2) == ["other"]
    window.choose("method", "neurocine")
    window.choose("experiment", "paper_main")
    window.choose("condition", "fmri")
    window.choose("metric", "ssim_mv")
    assert sorted(column(window, 1)) == ["1", "10", "2"]
    assert set(column(window, 3)) == {"paper_main"}
    window.click('input[data-filter="above"]')
    assert column(window, 1) == ["1"]
    window.click('input[data-filter="above"]')
    window.choose("subject", "2")
    assert window.run("Array.from(document.querySelectorAll('#films article')).map((a) => a.hidden)") == [
        True,
        False,
    ]
    for name in ("condition", "metric", "experiment"):
        window.choose(name, "")
    window.run(
        "(() => { const s = document.querySelector('[data-search=scores-table]'); s.value = 'PAPER fmri';"
        "s.dispatchEvent(new Event('input')); })()"
    )
    assert set(column(window, 4)) == {"fmri"}
    assert window.run("document.querySelector('[data-count]').textContent") == "2 of 26 rows"
    published = "document.querySelectorAll('#published-table tbody tr:not([hidden])').length"
    window.choose("subject", "")
    assert window.run(published) == 3
    window.choose("system", "Someone")
    assert window.run(published) == 1
    window.choose("system", "")
    window.click('input[data-filter="comparable"]')
    assert window.run(published) == 1
    window.click('input[data-filter="comparable"]')
    window.choose("kind", "method")
    assert window.run("document.querySelectorAll('#comparisons-table tbody tr:not([hidden])').length") == 1


def detail(window: Page, selector: str, value: str = "textContent") -> list[str]:
    """A property of elements of the opened details."""
    script = f"Array.from(document.querySelectorAll('#detail {selector}')).map((e) => e.{value})"
    found: list[str] = window.run(script)
    return found


def test_a_click_on_a_row_opens_its_clips_maps_settings_and_cost(window: Page) -> None:
    window.choose("experiment", "paper_main")
    window.choose("subject", "1")
    window.click(f"{FIRST}[data-condition=fmri][data-metric=acc_image_50_any3] td:nth-child(6)")
    assert detail(window, "h3") == ["Subject 1 · paper_main · fmri · acc_image_50_any3"]
    assert "decoded from fMRI; better than 99 % of its null." in detail(window, "#detail-note")
    said = dict(zip(detail(window, ".numbers dt"), detail(window, ".numbers dd"), strict=True))
    assert said["value"] == "0.358 ▲"
    assert (said["chance"], said["null mean"], said["p Holm"]) == ("0.058", "0.058", "0.002")
    films = [Path(name).stem for name in detail(window, "video", "src")]
    assert films == ["random", "best"]
    assert [Path(name).stem for name in detail(window, ".sheets img", "src")] == ["random", "best", "median"]
    assert [Path(name).stem for name in detail(window, ".maps img", "src")] == ["overview"]
    text = "".join(detail(window, "#detail-more"))
    assert "noise ratio0.75" in text
    assert "2.0 h, 4.0 h of GPUs; most of it decode, 2.0 h; up to 2.5 GB of memory" in text
    links = [Path(name).name for name in detail(window, ".links-list a", "href")]
    assert {"clip_scores.tsv", "attention.tsv", "scores.tsv", "comparisons.tsv"} <= set(links)
    # Films play, as far as this Chromium can, and pictures open large.
    ready = "new Promise((done) => { const v = document.querySelector('#detail video'); v.muted = true;"
    ready += "v.play().then(() => done(v.videoWidth), (error) => done(error.name)); })"
    assert window.run(ready) in (64, "NotSupportedError")
    window.click("#detail .sheets a.zoom")
    assert window.run("document.getElementById('zoom').open") is True


def test_a_control_shows_its_own_clips_and_says_where_there_are_none(window: Page) -> None:
    window.choose("subject", "2")
    window.click(f"{FIRST}[data-method=neurocine][data-experiment=paper_main][data-condition=shifted]")
    assert all("controls/shifted" in name for name in detail(window, "video, #detail .sheets img", "src"))
    assert len(detail(window, "video")) == 1
    window.press("Escape")
    assert window.run("document.getElementById('detail').open") is False
    window.click(f"{FIRST}[data-condition=vae]")
    assert "No films are made of this condition" in "".join(detail(window, ".shown"))
    assert all("/strips/" in name for name in detail(window, "video", "src"))


def test_long_tables_are_drawn_in_parts(browser: Page, page: Path, tmp_path: Path) -> None:
    scores = make_scores()
    many = [scores.assign(experiment=scores["experiment"] + str(number)) for number in range(20)]
    pd.concat(many).to_csv(tmp_path / "scores.tsv", sep="\t", index=False, na_rep="nan")
    settings = BuildBrowserSettings()
    program.main(scores=tmp_path / "scores.tsv", config="{}", out=tmp_path / "index.html", settings=settings)
    browser.open(tmp_path / "index.html")
    assert len(column(browser, 1)) == 200
    assert browser.run("document.querySelector('[data-count]').textContent") == "520 of 520 rows"
    browser.click("#more")
    assert len(column(browser, 1)) == 400
    browser.click(head(6))
    values = [float(text.split()[0]) for text in column(browser, 6)]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(0.5)  # all are sorted, not only those in sight
    assert len(values) == 200


def test_lines_at_a_glance_open_details(window: Page) -> None:
    window.click("#overview .panel .kind + li .open")
    assert detail(window, "h3") == ["Subject 1 · paper_main · fmri · ssim_mv"]


def test_everything_is_reached_by_keys(window: Page) -> None:
    focused = "document.activeElement"
    tag = f"{focused}.closest('tr') && {focused}.closest('tr').id"
    window.run("document.querySelector('#scores-table th:last-child button').focus()")
    window.press("Tab")
    rows = window.run(f"{ROWS}.map((r) => r.id)")
    assert window.run(tag) == rows[0]
    window.press("ArrowDown", "ArrowDown", "ArrowUp")
    assert window.run(tag) == rows[1]
    window.press("End")
    assert window.run(tag) == rows[-1]
    opened, heading = (f"document.querySelector('#detail{part}')" for part in ("[open]", " h3"))
    window.press("Home", "Enter")
    window.wait(opened)
    (first,) = detail(window, "h3")
    window.press("ArrowRight")
    window.wait(f"{heading}.textContent !== {json.dumps(first)}")
    window.press("ArrowLeft")
    window.wait(f"{heading}.textContent === {json.dumps(first)}")
    window.press("Escape")
    window.wait(f"!{opened}")
    assert window.run(tag) == rows[0]  # back where it was opened
    window.press("Tab")
    assert window.run(f"{focused}.closest('tbody')") is None  # one stop for the whole table
    window.run("document.querySelector('#scores-table th button').focus()")
    window.press("Enter")
    assert window.run("document.querySelector('#scores-table th').ariaSort") == "ascending"


def test_a_phone_shows_values_without_scrolling_sideways(browser: Page, page: Path) -> None:
    browser.open(page, 390, 844, phone=True)
    assert browser.run("document.documentElement.scrollWidth") == 390
    right = "document.querySelector('#scores-table tbody tr td:nth-child(6)').getBoundingClientRect().right"
    assert browser.run(right) < 390
    browser.click(f"{FIRST} td:nth-child(5)")
    assert browser.run("document.getElementById('detail').getBoundingClientRect().width") <= 390
    assert "0.300" in detail(browser, ".numbers dd")  # null p99, which the table leaves out here


def test_numbers() -> None:
    assert [number(0.12345), number(float("nan")), number(0.00001), number(0.0)] == [
        "0.123",
        "–",
        "1.0e-05",
        "0.000",
    ]
    assert [p_text(0.0001), p_text(0.0123), p_text(float("nan"))] == ["< 0.001", "0.012", "–"]


def test_order_of_owners() -> None:
    order = Order(("main", "exp2"), ("neurocine",))
    owners = [Owner(s, "neurocine", e) for e in ("exp10", "exp2", "main") for s in ("", "10", "9")]
    ranked = sorted(owners, key=order.rank)
    assert [(o.experiment, o.subject) for o in ranked[:4]] == [
        ("main", "9"),
        ("main", "10"),
        ("main", ""),
        ("exp2", "9"),
    ]
    assert order.label(owners[0]) == "exp10"
    assert Order((), ("a", "b")).label(Owner("1", "b", "main")) == "b main"


def test_track_places_dot_and_says_it_in_words() -> None:
    score = dict.fromkeys(("ci_low", "ci_high", "chance", "baseline"), float("nan"))
    drawn = track({**score, "value": 0.75, "null_p99": 0.5}, 0.0, 1.0)
    assert 'class="dot above" style="left:75.0%"' in drawn
    assert 'class="null" style="width:50.0%"' in drawn
    assert "value 0.750, what 99 % of the null do not reach 0.500" in drawn
    assert 'class="dot" ' in track({**score, "value": 0.4, "null_p99": 0.5}, 0.0, 1.0)
    error = {**score, "metric": "epe_farneback", "null_p99": 0.5}
    assert 'class="null" style="left:50.0%;width:50.0%"' in track({**error, "value": 0.4}, 0.0, 1.0)
    assert 'class="dot above"' in track({**error, "value": 0.4}, 0.0, 1.0)
    assert 'class="dot" ' in track({**error, "value": 0.6}, 0.0, 1.0)
    low, high = axis_range([{**score, "value": 1.0, "null_p99": 0.0, "null_mean": 0.0}])
    assert low < 0 < 1 < high


def test_log_and_curve_helpers() -> None:
    text = '{"step": 1, "loss": 2.0, "lr": 0.1}\n{"step": 2, "loss": NaN, "validation": {"loss": 3.0}}\n'
    assert read_log(text) == {"loss": {"training": [(1, 2.0)], "validation": [(2, 3.0)]}}
    assert thin([(n, 2.0 * n) for n in range(10)], most=5) == [
        (n + 0.5, 2 * n + 1.0) for n in range(0, 10, 2)
    ]
    assert round_ticks(0.0, 1.0) == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])
    assert round_ticks(3.0, 3.0) == [3.0]
