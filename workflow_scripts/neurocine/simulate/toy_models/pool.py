"""A pool of rendered clips with their labels, from which the toy models learn."""

import dataclasses
from typing import Literal

import numpy as np
from PIL import Image

from neurocine.seeds import numpy_generator
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.simulate.world import DIRECTIONS, Scene, random_scene, render_clip

FRAME_TIMES = tuple(k / 3 for k in range(6))  # 3 fps, six frames per 2-s clip, as prepare_stimuli cuts them
MOVIE_SIZE = 128  # movies are drawn at this size and reduced, so the pool looks like what a movie decodes to


@dataclasses.dataclass(frozen=True)
class Pool:
    """Rendered clips.

    ``frames`` uint8 (n, 6, size, size, 3), ``scenes`` what each shows.
    """

    frames: np.ndarray
    scenes: list[Scene]

    @property
    def captions(self) -> list[str]:
        return [scene.caption for scene in self.scenes]


def draw_pool(
    n: int,
    size: int,
    generator: np.random.Generator,
    held_out: Literal["without", "only", "with"],
    turned_share: float = 0.0,
) -> Pool:
    """Render ``n`` random clips.

    Parameters
    ----------
    n : number of clips
    size : height and width of the frames, px
    generator : source of all draws
    held_out : see :func:`neurocine.simulate.world.random_scene`
    turned_share : share of clips whose thing neither points where it goes nor keeps right. A classifier
        trained on such clips has to see the motion.
    """
    scenes = []
    frames = np.empty((n, len(FRAME_TIMES), size, size, 3), np.uint8)
    for row in range(n):
        scene = random_scene(generator, held_out)
        if generator.random() < turned_share:
            heading, lane = str(generator.choice(list(DIRECTIONS))), float(generator.uniform(-0.24, 0.24))
            scene = dataclasses.replace(scene, heading=heading, lane=lane)
        scenes.append(scene)
        for k, frame in enumerate(render_clip(scene, FRAME_TIMES, MOVIE_SIZE, MOVIE_SIZE)):
            frames[row, k] = np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BOX))
    return Pool(frames, scenes)


def draw_pools(
    settings: ToyModelSettings, seed: int, held_out: Literal["without", "with"] = "without"
) -> tuple[Pool, Pool]:
    """Draw the clips a toy model learns from and the held-out ones it is validated on.

    Parameters
    ----------
    settings : sizes of both pools
    seed : of the draws; the two pools do not share any
    held_out : whether the training pool shows the held-out combinations

    Returns
    -------
    training pool, validation pool (held-out combinations only)
    """
    turned = settings.turned_share
    pool = draw_pool(settings.n_clips, settings.size, numpy_generator(seed, "pool"), held_out, turned)
    test = draw_pool(settings.n_held_out, settings.size, numpy_generator(seed, "held out"), "only", turned)
    return pool, test
