"""The picture of agreement with the measured brain: one scale for all conditions, those chosen, in order."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import plot_agreement as program
from neurocine.errors import InputError
from neurocine.fmri.grayordinates import CORTEX
from neurocine.io import write_arrays
from neurocine.surface import plot
from neurocine.surface.plot import ColourScale, PlotAgreementSettings, PlotSurfaceSettings

QUICK = PlotSurfaceSettings(views=("lateral",), dpi=30, percentile=100)


def agreement(tmp_path: Path) -> Path:
    """Maps of three conditions, with values in the first 300 vertices."""
    maps = {}
    for number, condition in enumerate(("original", "fmri", "static")):
        maps[condition] = np.full(CORTEX, np.nan, np.float32)
        maps[condition][:300] = np.linspace(-0.1, 0.2, 300) * (3 - number)
    write_arrays(tmp_path / "maps.safetensors", maps, {"conditions": list(maps)})
    return tmp_path / "maps.safetensors"


def test_conditions_share_a_scale_and_stand_in_the_order_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[float, ColourScale]] = []

    def draw(values: np.ndarray, scale: ColourScale, *_: Any) -> np.ndarray:
        drawn.append((float(np.nanmax(values)), scale))
        return np.full((40, 60, 3), 50 * len(drawn), np.uint8)

    monkeypatch.setattr(plot, "draw_map", draw)
    chosen = PlotAgreementSettings(conditions=("fmri", "vae", "original"))  # the second was not made
    program.main(agreement=agreement(tmp_path), settings=chosen, surface=QUICK, out=tmp_path / "a.png")
    assert [value for value, _ in drawn] == pytest.approx([0.4, 0.6])
    for _, scale in drawn:
        assert (scale.low, scale.high) == pytest.approx((-0.6, 0.6))
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    columns = [np.argwhere((picture == shade).all(-1))[:, 1].mean() for shade in (50, 100)]
    assert columns[0] < columns[1]


def test_the_program_draws_a_brain(tmp_path: Path) -> None:
    chosen = PlotAgreementSettings(conditions=("fmri",))
    program.main(
        agreement=agreement(tmp_path), settings=chosen, surface=QUICK, out=tmp_path / "a.png", name="s1"
    )
    with Image.open(tmp_path / "a.png") as picture:
        assert min(picture.size) > 40
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20


def test_conditions_that_were_not_made_are_named(tmp_path: Path) -> None:
    settings = PlotAgreementSettings(conditions=("vae",))
    with pytest.raises(InputError, match=r"vae, of which none was made; expected some of original, fmri, st"):
        program.main(agreement=agreement(tmp_path), settings=settings, surface=QUICK, out=tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
