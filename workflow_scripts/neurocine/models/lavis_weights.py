"""Convert the weights of LAVIS's captioner, a pickled .pth file, to safetensors.

LAVIS needs a PyTorch of 2023, in which a file can run code although only tensors are asked for
(CVE-2025-32434, mended in PyTorch 2.6). So its environment reads no .pth file at all; this module, in the
environment of fetch_models, makes the file that it reads.
"""

import logging
import pickle
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from neurocine.errors import InputError
from neurocine.io import replacing

log = logging.getLogger(__name__)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a LAVIS checkpoint, a pickle of ``{"model": tensors}``; nothing else is built.

    By name, of any shape.

    Raises
    ------
    InputError : not a checkpoint, or one that holds more than tensors
    """
    expected, todo = "weights of LAVIS's BLIP captioner", "Download it again, or correct models.lavis."
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)["model"]
        return {str(name): tensor.contiguous().clone() for name, tensor in weights.items()}
    except (
        OSError,
        RuntimeError,
        pickle.UnpicklingError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
    ) as error:
        found = (str(error).strip() or repr(error)).splitlines()[0]
        raise InputError(path, found, expected, todo) from None


def convert_weights(folder: Path) -> Path | None:
    """Convert the one ``.pth`` file of a folder, unless it has safetensors already.

    Returns
    -------
    the file that was written, or None

    Raises
    ------
    InputError : see `read_checkpoint`; several .pth files
    """
    files = sorted(folder.glob("*.pth"))
    if not files or any(folder.glob("*.safetensors")):
        return None
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        raise InputError(folder, names, "one file of weights", "Move the others away.")
    out = files[0].with_suffix(".safetensors")
    weights = read_checkpoint(files[0])
    with replacing(out) as temporary:
        save_file(weights, temporary)
    log.info("%s: converted to %s, which is what LAVIS reads", files[0], out.name)
    return out
