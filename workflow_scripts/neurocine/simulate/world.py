"""The toy world: one coloured thing at a time, pointing where it goes, over a plain background.

A clip is described by a :class:`Scene`. Things point where they go, as animals and cars do, and they keep to
the right, as traffic does. So a single frame tells the direction of motion, and so do its caption and its
CLIP embedding. (From outlines alone small vision transformers did not learn the heading in 1500 steps.)

Coordinates: the frame spans [-0.5, 0.5] in x (to the right) and y (down). "Along" is the direction of
motion, "lane" the axis across it, positive to the right of what moves.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

Channels = tuple[int, int, int]

COLOURS: dict[str, Channels] = {
    "red": (220, 40, 40),
    "green": (50, 170, 60),
    "blue": (45, 85, 225),
    "yellow": (235, 205, 40),
    "purple": (155, 55, 190),
    "cyan": (60, 205, 215),
}
SHAPES = ("arrow", "bird", "car", "fish")
DIRECTIONS: dict[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
BACKGROUNDS: dict[str, Channels] = {"night": (18, 20, 42), "fog": (128, 130, 134), "snow": (238, 240, 244)}
PLACES = {"night": "at night", "fog": "in fog", "snow": "on snow"}
DARK: Channels = (12, 12, 12)

SUPERSAMPLE = 2  # polygons are drawn this many times larger and averaged down: anti-aliased edges
CLIP_SECONDS = 2.0

# Outlines in units of the half length, pointing to +x. The first polygon has the thing's colour, the rest are
# dark details that make front and back differ even where a coarse outline would not.
_WHEEL = 0.3
OUTLINES: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "arrow": (
        ((-1.0, -0.26), (0.05, -0.26), (0.05, -0.8), (1.0, 0.0), (0.05, 0.8), (0.05, 0.26), (-1.0, 0.26)),
    ),
    "bird": (
        (
            (1.0, 0.0),
            (0.3, -0.3),
            (-0.75, -1.15),
            (-0.3, -0.2),
            (-0.8, 0.0),
            (-0.3, 0.2),
            (-0.75, 1.15),
            (0.3, 0.3),
        ),
        ((0.85, -0.1), (0.55, -0.16), (0.55, 0.16), (0.85, 0.1)),
    ),
    "car": (
        ((-1.0, -0.55), (0.75, -0.55), (1.0, -0.35), (1.0, 0.35), (0.75, 0.55), (-1.0, 0.55)),
        ((0.05, -0.42), (0.5, -0.5), (0.5, 0.5), (0.05, 0.42)),
        ((-0.75, -0.7), (-0.75 + _WHEEL, -0.7), (-0.75 + _WHEEL, -0.5), (-0.75, -0.5)),
        ((-0.75, 0.5), (-0.75 + _WHEEL, 0.5), (-0.75 + _WHEEL, 0.7), (-0.75, 0.7)),
    ),
    "fish": (
        tuple(
            [(0.3 + 0.7 * float(np.cos(a)), 0.52 * float(np.sin(a))) for a in np.linspace(-2.6, 2.6, 22)]
            + [(-1.0, 0.6), (-0.8, 0.0), (-1.0, -0.6)]
        ),
        tuple(
            (0.62 + 0.13 * float(np.cos(a)), -0.14 + 0.13 * float(np.sin(a))) for a in np.linspace(0, 6.2, 10)
        ),
    ),
}


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a 2-s clip shows.

    ``size`` half length of the thing, ``lane`` offset across the motion, ``start`` position along the motion
    at the clip's onset (all in frame widths), ``speed`` in frame widths per second. ``heading`` is the
    direction it points to; it differs from ``direction`` only in clips made to train the video classifier,
    and in turned scenes.
    """

    shape: str
    colour: str
    direction: str
    background: str
    size: float = 0.26
    lane: float = 0.16
    start: float = -0.26
    speed: float = 0.26
    heading: str = ""

    @property
    def caption(self) -> str:
        return f"a {self.colour} {self.shape} moving {self.direction} {PLACES[self.background]}"


Combination = tuple[str, str, str]  # colour, shape, direction
SCRIPT_COLUMNS = (
    *("movie", "clip", "scene", "shape", "colour", "direction", "background"),
    *("size", "lane", "start", "speed"),
)


@cache
def combinations() -> tuple[Combination, ...]:
    """All 96 things: colour x shape x direction."""
    return tuple(itertools.product(COLOURS, SHAPES, DIRECTIONS))


@cache
def held_out_combinations() -> frozenset[Combination]:
    """The 12 combinations that no training movie and no text-to-image training shows.

    Every colour, shape and direction still occurs in training, so they can only be decoded by composition.
    """
    return frozenset(
        (colour, shape, direction)
        for (i, colour), (j, shape), (k, direction) in itertools.product(
            enumerate(COLOURS), enumerate(SHAPES), enumerate(DIRECTIONS)
        )
        if (i + j + 2 * k) % 8 == 0
    )


def class_names() -> list[str]:
    """The 96 classes of the toy classifiers, ``colour shape direction``."""
    return [" ".join(combination) for combination in combinations()]


@cache
def _background(name: str, height: int, width: int) -> Image.Image:
    shade = np.linspace(1.06, 0.88, height)[:, None, None] * np.array(BACKGROUNDS[name], float)
    pixels = np.broadcast_to(shade, (height, width, 3)).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


def render_frame(scene: Scene, seconds: float, height: int, width: int) -> np.ndarray:
    """Draw the scene at a time after the clip's onset: uint8 (height, width, 3), RGB."""
    along = np.array(DIRECTIONS[scene.direction], float)
    across = np.array([-along[1], along[0]])
    front = np.array(DIRECTIONS[scene.heading or scene.direction], float)
    side = np.array([-front[1], front[0]])
    centre = along * (scene.start + scene.speed * seconds) + across * scene.lane
    canvas = _background(scene.background, height * SUPERSAMPLE, width * SUPERSAMPLE).copy()
    draw = ImageDraw.Draw(canvas)
    scale = np.array([width, height]) * SUPERSAMPLE
    for number, outline in enumerate(OUTLINES[scene.shape]):
        points = centre + scene.size * (np.asarray(outline) @ np.stack([front, side]))
        pixels = (points + 0.5) * scale
        draw.polygon(
            [(float(x), float(y)) for x, y in pixels], fill=COLOURS[scene.colour] if number == 0 else DARK
        )
    return np.asarray(canvas.resize((width, height), Image.Resampling.BOX))


def render_clip(scene: Scene, times: Sequence[float], height: int, width: int) -> np.ndarray:
    """Draw the scene at several times: uint8 (n_times, height, width, 3)."""
    return np.stack([render_frame(scene, time, height, width) for time in times])


def random_place(generator: np.random.Generator) -> dict[str, Any]:
    """Draw size, speed and lane of a thing that keeps to the right and is halfway after one second."""
    speed = float(generator.uniform(0.22, 0.3))
    return {
        "size": float(generator.uniform(0.24, 0.3)),
        "speed": speed,
        "start": -speed * CLIP_SECONDS / 2 + float(generator.uniform(-0.05, 0.05)),
        "lane": float(generator.uniform(0.08, 0.24)),
    }


def turned_place(generator: np.random.Generator) -> dict[str, Any]:
    """Draw heading and lane of a thing of which a still does not tell where it goes."""
    return {
        "heading": str(generator.choice(list(DIRECTIONS))),
        "lane": round(float(generator.uniform(-0.24, 0.24)), 4),
    }


def random_scene(
    generator: np.random.Generator, held_out: Literal["without", "only", "with"] = "without"
) -> Scene:
    """Draw a scene ``without`` the held-out combinations, with these ``only``, or from all (``with``)."""
    hidden = held_out_combinations()
    pool = [c for c in combinations() if held_out == "with" or (c in hidden) == (held_out == "only")]
    colour, shape, direction = pool[generator.integers(len(pool))]
    background = str(generator.choice(list(BACKGROUNDS)))
    return Scene(
        shape=shape, colour=colour, direction=direction, background=background, **random_place(generator)
    )


def write_script(
    movie: str,
    n_clips: int,
    generator: np.random.Generator,
    held_out_share: float,
    scene_trs: tuple[int, int] = (2, 6),
    turned: tuple[float, np.random.Generator] | None = None,
) -> pd.DataFrame:
    """Write a movie's script: one row per clip; scenes of 2-6 TR share thing, background and lane.

    Combinations are dealt like cards, so a movie shows as many different ones as it has scenes for. Each
    clip of a scene is a new shot of the same thing: size, speed and start vary a little.

    In a turned scene heading and lane are drawn apart from the direction, and shots start near the middle
    of the frame, so that a single frame does not predict where the object goes.

    Parameters
    ----------
    movie : name, for the column movie
    n_clips : length of the movie, one clip per TR
    generator : draws scenes and shots
    held_out_share : share of the scenes that show a held-out combination, 0 in training movies
    scene_trs : shortest and longest scene, TR
    turned : share of turned scenes, and what draws them; without it the script has no column heading

    Returns
    -------
    columns movie clip scene shape colour direction background size lane start speed, and heading
    """
    hidden = sorted(held_out_combinations())
    seen = [combination for combination in combinations() if combination not in held_out_combinations()]
    decks: dict[bool, list[Combination]] = {True: [], False: []}
    rows: list[dict[str, object]] = []
    scene = 0
    while len(rows) < n_clips:
        hide = bool(generator.random() < held_out_share)
        if not decks[hide]:
            decks[hide] = [
                (hidden if hide else seen)[i] for i in generator.permutation(len(hidden if hide else seen))
            ]
        colour, shape, direction = decks[hide].pop()
        background = str(generator.choice(list(BACKGROUNDS)))
        shared = random_place(generator)
        shared_place = {"lane": shared["lane"], "size": shared["size"]}
        turns = turned is not None and bool(turned[1].random() < turned[0])
        if turned is not None and turns:
            shared_place |= turned_place(turned[1])
        for _ in range(min(int(generator.integers(scene_trs[0], scene_trs[1] + 1)), n_clips - len(rows))):
            place = random_place(generator) | shared_place
            if turned is not None and turns:
                place["start"] = float(turned[1].uniform(-0.12, 0.12))
            row = Scene(shape=shape, colour=colour, direction=direction, background=background, **place)
            fields = dataclasses.asdict(row) | {"heading": row.heading or direction}
            rows.append({"movie": movie, "clip": len(rows), "scene": scene} | fields)
        scene += 1
    columns = [*SCRIPT_COLUMNS, *([] if turned is None else ["heading"])]
    return pd.DataFrame(rows)[columns].round({"size": 4, "lane": 4, "start": 4, "speed": 4})


def scripted_scenes(script: pd.DataFrame) -> list[Scene]:
    """Turn a script's rows into scenes."""
    names = [field.name for field in dataclasses.fields(Scene) if field.name in script.columns]
    return [Scene(**{name: row[name] for name in names}) for row in script.to_dict("records")]


def movie_frames(
    script: pd.DataFrame, fps: int, height: int, width: int, tail_seconds: float
) -> Iterator[np.ndarray]:
    """Yield every frame of a scripted movie, then its last frame again for the static tail.

    Each is (height, width, 3) uint8.
    """
    per_clip = round(CLIP_SECONDS * fps)
    frame = np.zeros((height, width, 3), np.uint8)
    for scene in scripted_scenes(script):
        for number in range(per_clip):
            frame = render_frame(scene, number / fps, height, width)
            yield frame
    for _ in range(round(tail_seconds * fps)):
        yield frame
