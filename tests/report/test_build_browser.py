"""The page of results: complete, well formed, without network; sorting and filtering work in a browser."""

import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import build_browser as program
from neurocine.errors import InputError
from neurocine.report.browser import BuildBrowserSettings
from neurocine.report.figures import axis_range, read_log, round_ticks, thin, track
from neurocine.report.markup import number, p_text
from neurocine.report.study import Order, Owner, natural

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
VOID = {"meta", "link", "img", "br", "input", "hr", "circle", "line", "polyline"}
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
    media: dict[str, list[Path]] = {"strips": [], "clips": [], "maps": [], "attention_tables": []}
    for subject in ("1", "2"):
        folder = root / f"sub-{subject}/neurocine/paper_main"
        for name in ("strips/test1_clip2", "strips/test1_clip10", "strips/test1_clip30", "maps/overview"):
            path = folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (60, 20), (int(subject) * 90, 20, 90)).save(path)
            media[path.parent.name].append(path)
        media["clips"].append(folder / "clips/test1.mp4")
        (folder / "clips").mkdir()
        media["clips"][-1].write_bytes(b"film")
        media["attention_tables"].append(folder / "maps/attention.tsv")
        make_attention().to_csv(media["attention_tables"][-1], sep="\t", index=False, na_rep="nan")
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
        **media,
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
    assert "exp<00>" not in text


def test_page_holds_values_beside_chance_and_null(page: Path) -> None:
    text = page.read_text()
    row = next(line for line in text.splitlines() if 'data-metric="acc_image_50_any3"' in line)
    assert 'data-subject="1"' in row
    assert 'data-experiment="paper_main"' in row  # first in the config
    assert 'data-above="yes"' in row
    for shown in ("0.358", "0.308 – 0.408", "0.058", "0.158", "0.001", "0.002", "0.150"):
        assert shown in row
    assert text.count('data-above="yes"') == 4  # subject 1, two experiments, two metrics


def test_page_holds_media_maps_curves_and_settings(page: Path) -> None:
    text = page.read_text()
    strips = re.findall(r'<img src="([^"]*strips[^"]*)"', text)
    assert [Path(name).stem for name in strips[:3]] == ["test1_clip2", "test1_clip10", "test1_clip30"]
    assert text.count("1 more strips") == 2
    assert text.count("<video") == 2
    assert "1.234" in text
    assert "9.876" not in text  # single hemispheres only in the file
    assert "0.0123" in text
    assert "loss over steps: training ends at 2, validation ends at 2.5" in text
    assert "<code>30</code>" in text
    assert (page.parent / "assets/tables/scores.tsv").is_file()


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
    assert [path.name for path in (tmp_path / "assets").rglob("*") if path.is_file()] == ["scores.tsv"]


def test_media_outside_the_layout_are_refused(page: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sub-<subject>"):
        program.owner_of(tmp_path / "clips/test1.mp4")
    with pytest.raises(InputError, match="no such file"):
        program.copy_medium(Path("sub-1/neurocine/main/clips/none.mp4"), tmp_path, "clips")


ACTIONS = """
<script>
const rows = () => Array.from(document.querySelectorAll("#scores-table tbody tr")).filter((r) => !r.hidden);
const cell = (r, n) => r.cells[n].textContent;
const heads = Array.from(document.querySelectorAll("#scores-table th"));
const head = (title) => heads.find((h) => h.textContent === title);
const set = (key, value) => {
  const control = document.querySelector(`select[data-filter="${key}"]`);
  control.value = value;
  control.dispatchEvent(new Event("change"));
};
const said = {all: rows().length};
head("subject").querySelector("button").click();
said.subjects = [...new Set(rows().map((r) => cell(r, 0)))];
said.sort = head("subject").getAttribute("aria-sort");
head("subject").querySelector("button").click();
said.reverse = [...new Set(rows().map((r) => cell(r, 0)))];
head("chance").querySelector("button").click();
said.chance = [cell(rows()[0], 7), cell(rows().at(-1), 7)];
said.once = document.querySelectorAll("#scores-table [aria-sort]").length;
set("condition", "fmri"); set("metric", "ssim_mv");
said.filtered = rows().length;
document.querySelector('input[data-filter="above"]').click();
said.above = rows().map((r) => cell(r, 0) + cell(r, 1));
document.querySelector('input[data-filter="above"]').click();
set("subject", "2");
said.cards = Array.from(document.querySelectorAll("#films article")).map((a) => a.hidden);
const search = document.querySelector('[data-search="scores-table"]');
search.value = "PAPER"; search.dispatchEvent(new Event("input"));
said.found = rows().map((r) => cell(r, 1));
said.count = document.querySelector("[data-count]").textContent;
document.querySelector("#maps a.zoom").click();
said.zoom = document.getElementById("zoom").open;
document.body.innerHTML = "";
document.title = JSON.stringify(said);
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_sorting_and_filtering_in_chromium(page: Path) -> None:
    copy = page.with_name("actions.html")
    copy.write_text(page.read_text().replace("</body>", ACTIONS + "</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    command = [str(CHROMIUM), *options, copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    match = re.search(r"<title>(\{.*?\})</title>", done.stdout)
    assert match, done.stdout[-2000:]
    said = json.loads(html.unescape(match[1]))
    assert said["all"] == 24
    assert said["subjects"] == ["1", "2", "10"]
    assert said["sort"] == "ascending"
    assert said["reverse"] == ["10", "2", "1"]
    assert said["chance"] == ["0.058", "–"]  # missing numbers last
    assert said["once"] == 1
    assert said["filtered"] == 6
    assert sorted(said["above"]) == ["1exp<00>", "1paper_main"]
    assert said["cards"] == [True, False]
    assert said["found"] == ["paper_main"]
    assert said["count"] == "1 of 24 rows"
    assert said["zoom"] is True


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
    assert sorted(["test10", "test2"], key=natural) == ["test2", "test10"]


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
