"""The page of results in a browser: it obeys mouse and keys, on a laptop and on a phone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import build_browser as program
from neurocine.report.browser import BuildBrowserSettings
from neurocine.report.gather import StudyFiles
from report.chromium import CHROMIUM, Page, chromium

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
    scores = pd.read_csv(page.parents[1] / "tables/scores.tsv", sep="\t")
    many = [scores.assign(experiment=scores["experiment"] + str(number)) for number in range(20)]
    pd.concat(many).to_csv(tmp_path / "scores.tsv", sep="\t", index=False, na_rep="nan")
    settings = BuildBrowserSettings()
    program.main(
        files=StudyFiles([tmp_path / "scores.tsv"]),
        config="{}",
        out=tmp_path / "index.html",
        settings=settings,
    )
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
