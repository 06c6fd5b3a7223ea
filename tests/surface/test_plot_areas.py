"""Maps of areas: which are drawn, that what exceeds its null is outlined, and files that are none."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import plot_areas as program
from neurocine.errors import InputError
from neurocine.fmri.grayordinates import CORTEX
from neurocine.fmri.parcellation import installed_areas
from neurocine.io import write_arrays
from neurocine.surface.plot import PlotSurfaceSettings
from neurocine.surface.plot_areas import PlotAreasSettings, chosen_maps

LOSSES = ["contrast"]
QUICK = PlotSurfaceSettings(views=("posterior",), dpi=40)


def write_maps(path: Path, outlined: str = "") -> Path:
    """Maps in which area V1 of both sides loses all and V2 half, of which one may exceed its null."""
    loss, exceeds = (np.full(CORTEX, np.nan, np.float32) for _ in range(2))
    for (_, name), vertices in installed_areas().items():
        if name in ("V1", "V2"):
            loss[vertices] = 1.0 if name == "V1" else 0.5
            exceeds[vertices] = name == outlined
    maps = {"occlusion/contrast": loss, "exceeds/occlusion/contrast": exceeds}
    write_arrays(path, maps, {"losses": LOSSES, "computed_from": []})
    return path


def draw(areas: Path, out: Path) -> bytes:
    program.main(areas=areas, settings=PlotAreasSettings(), surface=QUICK, out=out, name="subject 1")
    return out.read_bytes()


def test_what_exceeds_its_null_is_outlined(tmp_path: Path) -> None:
    plain = draw(write_maps(tmp_path / "plain.safetensors"), tmp_path / "plain.png")
    lined = draw(write_maps(tmp_path / "lined.safetensors", "V1"), tmp_path / "lined.png")
    other = draw(write_maps(tmp_path / "other.safetensors", "V2"), tmp_path / "other.png")
    assert plain.startswith(b"\x89PNG")
    assert len({plain, lined, other}) == 3


def test_text_that_is_wider_than_the_maps_is_whole(tmp_path: Path) -> None:
    long = "subject 1, an experiment of a long name"
    given = {"settings": PlotAreasSettings(), "surface": QUICK}
    widths = {}
    for name in ("", long, f"{long}, {long}"):
        out = tmp_path / f"{len(name)}.png"
        program.main(areas=write_maps(tmp_path / "a.safetensors"), **given, out=out, name=name)
        pixels = np.asarray(Image.open(out).convert("L"))
        written = np.flatnonzero((pixels[: round(0.6 * QUICK.dpi)] < 200).any(axis=0))
        assert written[-1] < pixels.shape[1] - 2
        widths[name] = pixels.shape[1]
    assert widths[""] < widths[long] < widths[f"{long}, {long}"]


def test_losses_come_before_the_chosen_scores() -> None:
    names = ("cosine", "identification", "contrast")
    maps = {f"occlusion/{name}": np.zeros(CORTEX) for name in names}
    assert list(chosen_maps(maps, LOSSES, PlotAreasSettings())) == ["contrast", "identification"]
    with pytest.raises(InputError, match=r"plot_areas\.scores"):
        chosen_maps({"occlusion/cosine": np.zeros(CORTEX)}, LOSSES, PlotAreasSettings())


def test_other_files_are_refused(tmp_path: Path) -> None:
    maps = {"attention": np.zeros(CORTEX, np.float32)}
    write_arrays(tmp_path / "x.safetensors", maps, {"computed_from": []})
    with pytest.raises(InputError, match="no list of losses"):
        draw(tmp_path / "x.safetensors", tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()
