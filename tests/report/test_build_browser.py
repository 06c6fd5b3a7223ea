"""The page of results: complete, well formed, without network."""

import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import build_browser as program
from neurocine.errors import InputError
from neurocine.io import write_arrays
from neurocine.report.browser import BuildBrowserSettings
from neurocine.report.gather import StudyFiles, copy_medium, owner_of
from neurocine.version import code_version, package_versions

VOID = {"wbr", "meta", "link", "img", "br", "input", "hr", "line", "polyline", "polygon"}


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
    assert not re.search(r"{[{%#]|[%#}]}", re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.S))


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


def test_of_own_runs_nothing_is_said(page: Path) -> None:
    assert "preprocessed by others" not in page.read_text()


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
    assert "<p>Four &lt;subjects&gt; [@someone2020].</p>" in text
    assert (page.parent / "assets/tables/methods.bib").is_file()


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
    assert f"2 condition {conditions} ssim_mv 0.250 0.200 – 0.300 &lt; 0.001 1 clips 0.020 60" in plain
    apart = "none: trained apart, fewer than 3 trainings each"
    methods = "other paper_main neurocine paper_main"
    assert f"2 method {methods} ssim_mv 0.250 0.200 – 0.300 – 2 {apart} – 60" in plain
    looked_at = "2 test1 2 246 1.000 2.000 53 V1 53 41.500 0.250 5 1.000 another TR; early or late"
    assert looked_at in plain
    assert "1 early V1 12 0.400 0.600 0.632 0.778" in plain
    assert "2 neurocine paper_main fmri early 24 0.440 0.400 – 0.480 0.010 0.003 True – 0.767 60 5" in plain
    assert not any("V9" in line for line in plain)
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


def test_equal_results_give_equal_pages_and_stale_files_go(page: Path, tmp_path: Path) -> None:
    stale = tmp_path / "assets/sub-9/neurocine/old/clips/test1.mp4"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"old")
    pages = []
    for _ in range(2):
        program.main(
            files=StudyFiles([page.parent / "assets/tables/scores.tsv"]),
            config='{"fmri_from": "neuroclips"}',
            out=tmp_path / "index.html",
            settings=BuildBrowserSettings(title="again"),
        )
        pages.append((tmp_path / "index.html").read_bytes())
    assert pages[0] == pages[1]
    assert b"No films were made" in pages[0]
    assert b"snakemake lag_sweep makes it" in pages[0]
    assert b"<dt>fMRI</dt><dd>preprocessed by others (neuroclips)</dd>" in pages[0]
    assert b"a mask tells it, which package.vertex_masks in the config names" in pages[0]
    assert b"None here, as there are no maps." in pages[0]
    assert not [path for path in (tmp_path / "assets").rglob("*") if path.is_file()]


def test_page_says_which_code_made_the_results_and_marks_mixed_ones(page: Path, tmp_path: Path) -> None:
    texts = []
    for versions in ((code_version(),), (code_version(), "0.0.1+gaaaaaaaaaa")):
        for number, version in enumerate(versions):
            meta = {"step": f"step_{number}", "version": version, "packages": package_versions()}
            write_arrays(tmp_path / f"results/{number}.safetensors", {"x": np.zeros(1)}, meta)
        program.main(
            files=StudyFiles([page.parent / "assets/tables/scores.tsv"]),
            config="{}",
            out=tmp_path / "page/index.html",
            made=tmp_path / "results",
            settings=BuildBrowserSettings(),
        )
        texts.append((tmp_path / "page/index.html").read_text())
    one, mixed = texts
    assert f"Made by neurocine {code_version()}." in one
    assert f"<code>{code_version()}</code></th><td>1</td><td>step_0</td>" in one
    assert "stand side by side" not in one
    assert "<code>0.0.1+gaaaaaaaaaa</code></th><td>1</td><td>step_1</td>" in mixed
    assert "Results of different versions stand side by side." in mixed
    assert "<code>snakemake --profile slurm -R step_1</code>" in mixed


def test_page_tells_nobody_where_files_lie(page: Path, tmp_path: Path) -> None:
    config = {
        "data_dir": "/home/anna/study/cc2017/",
        "models": {"clip": "/scratch/anna/models/clip-vit", "blip": "models/blip"},
        "runs": ["~anna/sub-1.nii"],
    }
    program.main(
        files=StudyFiles([page.parent / "assets/tables/scores.tsv"]),
        config=json.dumps(config),
        out=tmp_path / "index.html",
        settings=BuildBrowserSettings(),
    )
    text = (tmp_path / "index.html").read_text()
    assert "anna" not in text
    for shown in ("…/cc2017", "…/clip-vit", "models/blip", "…/sub-1.nii"):
        assert f"{shown}</code>" in text or f"{shown}&#34;]</code>" in text


def test_the_page_of_one_subject_needs_no_tables_of_the_study(page: Path, tmp_path: Path) -> None:
    scores = pd.read_csv(page.parents[1] / "tables/scores.tsv", sep="\t", dtype={"subject": str})
    paths = []
    for (experiment,), part in scores[scores["subject"] == "1"].groupby(["experiment"]):
        paths.append(tmp_path / f"sub-1/neurocine/{len(str(experiment))}/scores.tsv")
        paths[-1].parent.mkdir(parents=True)
        part.to_csv(paths[-1], sep="\t", index=False)
    clips = page.parents[1] / "sub-1/neurocine/paper_main/clips/test1.mp4"
    out = tmp_path / "browser/index.html"
    program.main(
        files=StudyFiles(paths, result_tables=paths, clips=[clips]),
        config="{}",
        out=out,
        settings=BuildBrowserSettings(title="subject 1"),
    )
    text = out.read_text()
    assert re.findall(r'<video [^>]*src="([^"]*)"', text) == [
        "assets/sub-1/neurocine/paper_main/clips/test1.mp4"
    ]
    data = re.search(r'id="scores-rows">(.*?)</script>', text)
    assert data
    assert len(json.loads(data[1])) == 8  # two experiments, two conditions, two metrics
    assert len(list((out.parent / "assets").rglob("scores.tsv"))) == 2


def test_page_links_maps_for_other_tools(page: Path) -> None:
    card = page.read_text().partition('id="maps"')[2].partition("</article>")[0]
    links = re.findall(r'<a href="([^"]*/maps/[^"]*)" target="_blank" rel="noopener">([\w ]+) <small>', card)
    folder = "assets/sub-1/neurocine/paper_main/maps"
    assert links == [
        (f"{folder}/interactive.html", "interactive occlusion map"),
        (f"{folder}/maps.json", "what these maps are"),
        (f"{folder}/maps.dscalar.nii", "all maps for other tools"),
    ]


def test_media_outside_the_layout_are_refused(page: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sub-<subject>"):
        owner_of(tmp_path / "clips/test1.mp4")
    with pytest.raises(InputError, match="no such file"):
        copy_medium(Path("sub-1/neurocine/main/clips/none.mp4"), tmp_path, "clips")


def test_sections_of_evaluations_that_were_left_out_are_left_out(page: Path, tmp_path: Path) -> None:
    scores = page.parent / "assets/tables/scores.tsv"
    anchors = {"order": "test_order", "agreement": "agree_fmri", "areas": "rank_areas"}
    for evaluate in (list(anchors.values()), ["test_order"], []):
        out = tmp_path / f"{len(evaluate)}" / "index.html"
        out.parent.mkdir()
        program.main(
            files=StudyFiles(scores=[scores]),
            config=json.dumps({"dataset": "toy", "evaluate": evaluate}),
            out=out,
            settings=BuildBrowserSettings(),
        )
        text = out.read_text()
        assert {step for anchor, step in anchors.items() if f'id="{anchor}"' in text} == set(evaluate)
        assert ('href="#order"' in text) == ("test_order" in evaluate)
