"""What the decoding loses when an area is taken away: occlusion of the encoder's input.

Attention alone says little about function. Here all vertices of an area are set to their training mean, which
is 0 after standardisation, and the fall of the agreement with CLIP is measured.
"""

import numpy as np
from torch import Tensor, stack

from neurocine.cli import progress
from neurocine.metrics.agreement import SCORES, Targets, agreement, embed
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.surface.regions import Region


def measure_occlusion(
    encoder: FmriEncoder,
    bold: np.ndarray,
    targets: Targets,
    regions: list[Region],
    batch_size: int,
    what: str,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Occlude one region after the other.

    Parameters
    ----------
    encoder : of the contrastive stage
    bold : (n_clips, w, V)
    targets : CLIP embeddings of the clips
    regions : what is occluded
    batch_size : windows per pass
    what : name in progress lines

    Returns
    -------
    per score, (n_clips,) of the whole brain; per score, (n_clips, n_regions) falls, positive where it hurts
    """
    whole = agreement(embed(encoder, bold, None, batch_size), targets)
    falls: dict[str, list[Tensor]] = {name: [] for name in SCORES}
    for region in progress(regions, len(regions), f"occlusion in {what}, region"):
        scores = agreement(embed(encoder, bold, region.members, batch_size), targets)
        for name in SCORES:
            falls[name].append(whole[name] - scores[name])
    return (
        {name: whole[name].numpy() for name in SCORES},
        {name: stack(columns, 1).numpy() for name, columns in falls.items()},
    )
