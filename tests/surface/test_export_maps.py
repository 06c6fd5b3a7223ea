"""Brain maps for other tools: the same values at the same places, described, and as an interactive page."""

import hashlib
import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest

import export_maps as program
from neurocine.fmri.grayordinates import CORTEX, MESH_VERTICES, mesh_vertices
from neurocine.fmri.volumes import VoxelGrid
from neurocine.io import write_arrays
from neurocine.surface.export import BrainMap, write_dscalar, write_volumes
from neurocine.surface.plot import ColourScale, PlotSurfaceSettings

STAGES, LAYERS = ("pretrained", "contrastive", "full"), (1, 2)
SCALE = ColourScale(-2.0, 2.0, "RdBu_r", "a unit")


def write_attention(path: Path, size: int, **meta: object) -> dict[str, np.ndarray]:
    """A file as extract_attention writes it, with values at every tenth place."""
    rng = np.random.default_rng(0)
    names = [f"attention/{stage}/layer{layer}/softmax" for stage in STAGES for layer in LAYERS]
    arrays = {}
    for name in [*names, "occlusion/cosine"]:
        arrays[name] = np.full(size, np.nan, np.float32)
        arrays[name][::10] = rng.normal(1.0, 0.2, len(arrays[name][::10]))
    write_arrays(path, arrays, {"stages": STAGES, "layers": LAYERS, "computed_from": ["test1"], **meta})
    return arrays


def run(attention: Path, out: Path) -> None:
    program.main(
        attention=attention,
        settings=PlotSurfaceSettings(),
        out=out,
        page=out.parent / "interactive.html",
        name="subject 1, <main>",
    )


def test_cortical_maps_are_read_back_by_nibabel(tmp_path: Path) -> None:
    arrays = write_attention(tmp_path / "attention.safetensors", CORTEX)
    run(tmp_path / "attention.safetensors", tmp_path / "maps.dscalar.nii")
    image = nibabel.load(tmp_path / "maps.dscalar.nii")
    scalars, brain = (image.header.get_axis(index) for index in (0, 1))
    assert list(scalars.name[:2]) == ["occlusion", "attention after pretraining, layer 1"]
    assert len(scalars) == 1 + len(STAGES) * len(LAYERS)
    np.testing.assert_array_equal(image.get_fdata(dtype=np.float32)[0], arrays["occlusion/cosine"])
    values = 100 * (arrays["attention/full/layer2/softmax"] - 1)
    np.testing.assert_allclose(image.get_fdata()[-1], values, rtol=1e-6)
    sides = {name: (piece, part.vertex) for name, piece, part in brain.iter_structures()}
    assert list(sides) == ["CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT"]
    for (_, vertices), expected in zip(sides.values(), mesh_vertices(), strict=True):
        np.testing.assert_array_equal(vertices, expected)
    assert set(brain.nvertices.values()) == {MESH_VERTICES}
    palette = scalars.meta[0]["PaletteColorMapping"]
    described = json.loads((tmp_path / "maps.json").read_text())
    high = described["Maps"][0]["ColourScale"][1]
    assert float(re.search(r"<UserScaleValues>\S+ 0.0 0.0 (\S+)<", palette)[1]) == pytest.approx(high, 1e-5)
    assert [entry["Name"] for entry in described["Maps"]] == list(scalars.name)
    assert described["ComputedFrom"] == ["test1"]


def test_maps_of_agreement_and_of_areas_are_among_them(tmp_path: Path) -> None:
    write_attention(tmp_path / "attention.safetensors", CORTEX)
    rng = np.random.default_rng(1)
    names = ("original", "fmri", "occlusion/contrast", "exceeds/occlusion/contrast", "weights/motion")
    made = {name: rng.normal(size=CORTEX).astype(np.float32) for name in names}
    made["original"][::2] = np.nan
    agreement, areas = (tmp_path / f"{name}.safetensors" for name in ("agreement", "areas"))
    write_arrays(
        agreement,
        {name: made[name] for name in names[:2]},
        {"conditions": ["original", "fmri"], "computed_from": ["seg2"]},
    )
    write_arrays(areas, {name: made[name] for name in names[2:]}, {"computed_from": ["seg1"]})
    given = {"settings": PlotSurfaceSettings(), "page": tmp_path / "page.html"}
    program.main(
        attention=tmp_path / "attention.safetensors",
        **given,
        out=tmp_path / "maps.dscalar.nii",
        agreement=[agreement],
        areas=[areas],
    )
    image = nibabel.load(tmp_path / "maps.dscalar.nii")
    listed = list(image.header.get_axis(0).name)[1 + len(STAGES) * len(LAYERS) :]
    assert listed == [
        "agreement, original",
        "agreement, fmri",
        "areas, occlusion contrast",
        "areas that exceed their null, occlusion contrast",
        "areas, weights motion",
    ]
    for place, name in enumerate(names, 1 + len(STAGES) * len(LAYERS)):
        np.testing.assert_array_equal(image.get_fdata(dtype=np.float32)[place], made[name])
    described = json.loads((tmp_path / "maps.json").read_text())
    assert described["ComputedFrom"] == ["seg1", "seg2", "test1"]
    assert described["Maps"][-3]["Unit"] == "contrast, positive where the area is missed"
    largest = float(np.abs(made["occlusion/contrast"]).max())
    assert described["Maps"][-3]["ColourScale"] == pytest.approx([-largest, largest], abs=1e-5)
    scales = [described["Maps"][-5 + place]["ColourScale"] for place in range(2)]
    assert scales[0] == scales[1]  # conditions are compared by eye


def test_page_to_turn_needs_no_network(tmp_path: Path) -> None:
    write_attention(tmp_path / "attention.safetensors", CORTEX)
    run(tmp_path / "attention.safetensors", tmp_path / "maps.dscalar.nii")
    html = (tmp_path / "interactive.html").read_text()
    assert not re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="(?:https?:)?//', html)
    assert "Occlusion of each area" in html
    assert "Plotly" in html


def test_volumes_are_read_back_at_their_place(tmp_path: Path) -> None:
    grid = VoxelGrid((4, 5, 6), np.diag([2.0, 2.0, 2.0, 1.0]))
    values = np.arange(120.0)
    values[7] = np.nan
    maps = [BrainMap("one", values, "unit", SCALE), BrainMap("two", -values, "unit", SCALE)]
    digests = set()
    for name in ("maps.nii.gz", "again.nii.gz"):
        write_volumes(maps, grid, tmp_path / name)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    image = nibabel.load(tmp_path / "maps.nii.gz")
    assert image.shape == (4, 5, 6, 2)
    np.testing.assert_array_equal(image.affine, grid.affine)
    assert image.header["sform_code"] == 4  # MNI
    np.testing.assert_array_equal(image.get_fdata()[..., 0].ravel()[[6, 7, 8]], [6, 0, 8])


def test_maps_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="10 values"):
        write_dscalar([BrainMap("one", np.zeros(10), "unit", SCALE)], tmp_path / "maps.dscalar.nii")
    assert list(tmp_path.iterdir()) == []
