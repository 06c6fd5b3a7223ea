"""What kind of work a kernel does, told from its name: for tables of where the time of a step goes."""

# In this order: the first kind one of whose words is in the name.
WORDS = {
    "attention": "fmha flash attention mha_ sdpa",
    "optimiser": "adam multi_tensor_apply foreach lpnorm",
    "norm": "layer_norm layernorm group_norm groupnorm rowwisemoments gammabeta internalgradients",
    "convolution": "conv fprop dgrad wgrad winograd",
    "product": "gemm cutlass cublas nvjet addmm aten::mm bmm splitk matmul linear",
    "copy": "copy memcpy memset catarray aten::cat tonhwc tonchw transpose index fill",
    "fused": "triton compiled",
}
KINDS = (*WORDS, "elementwise")


def kind_of_kernel(name: str) -> str:
    """Return the kind of a CUDA kernel or of an operation by its name; elementwise is what is no other."""
    lower = name.lower()
    return next(
        (kind for kind, words in WORDS.items() if any(word in lower for word in words.split())), KINDS[-1]
    )
