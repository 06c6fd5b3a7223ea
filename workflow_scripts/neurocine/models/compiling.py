"""Compile the blocks that networks repeat, each kind and size once: quicker than the whole network."""

import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from neurocine.models.fmri_encoder import Block
from neurocine.models.video_unet import VideoTransformerBlock

REPEATED = (VideoTransformerBlock, ResnetBlock2D, Block)
COMPILED_SIZES = 64  # the video UNet has twenty sizes of blocks, with and without gradients


def compile_blocks(model: nn.Module, backend: str = "inductor") -> int:
    """Compile each repeated block in place; names of weights stay. Return how many there are.

    Blocks of one kind and size share one program: a normalisation, an addition or a cast becomes part of what
    reads its result.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, COMPILED_SIZES)
    blocks = [part for part in model.modules() if isinstance(part, REPEATED)]
    for block in blocks:
        block.compile(backend=backend, dynamic=False)
    return len(blocks)
