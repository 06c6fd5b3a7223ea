"""Compiled blocks give what plain ones give. Traced only: to generate code as well takes minutes."""

import torch
from diffusers.models.resnet import ResnetBlock2D
from test_checkpointing import decoder
from torch import Tensor, nn

from neurocine.models.checkpointing import set_checkpointing
from neurocine.models.compiling import compile_blocks
from neurocine.models.fmri_encoder import Block
from neurocine.models.video_unet import VideoTransformerBlock


def outputs(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    output = model(*inputs).sample
    output.square().mean().backward()
    return [output.detach(), *(value.grad for value in model.parameters() if value.grad is not None)]


def test_compiled_blocks_have_equal_outputs_and_gradients() -> None:
    torch._dynamo.reset()
    plain, inputs = decoder()
    compiled, _ = decoder()
    names = list(compiled.state_dict())
    kinds = (VideoTransformerBlock, ResnetBlock2D, Block)
    expected = sum(isinstance(part, kinds) for part in compiled.modules())
    assert compile_blocks(compiled, "aot_eager") == expected > 8
    set_checkpointing(compiled, "all")
    assert list(compiled.state_dict()) == names
    torch._dynamo.utils.counters.clear()
    for value, reference in zip(
        outputs(compiled.train(), inputs), outputs(plain.train(), inputs), strict=True
    ):
        torch.testing.assert_close(value, reference, rtol=1e-4, atol=1e-6)
    found = torch._dynamo.utils.counters
    assert found["stats"]["unique_graphs"] < expected, "blocks of one size share a program"
    assert not found["graph_break"], "each block is one program"
