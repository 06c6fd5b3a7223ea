"""Small networks on disk: a config of a frozen dataclass as JSON beside weights as safetensors."""

import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar, Self

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from neurocine.errors import InputError
from neurocine.io import replacing, write_json

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def xavier_(module: nn.Module) -> None:
    """Draw all weight matrices in place from Xavier's uniform distribution; vectors stay as they are."""
    for parameter in module.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter)


class SavedNetwork(nn.Module):
    """A network that is made from its config alone and read back from a folder.

    Parameters
    ----------
    config : instance of the class's ``Config``
    """

    Config: ClassVar[type]

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    def save_pretrained(self, folder: Path) -> None:
        """Write ``config.json`` and ``model.safetensors``."""
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        with replacing(Path(folder) / WEIGHTS) as temporary:
            save_file(tensors, temporary)
        write_json(Path(folder) / CONFIG, {"class": type(self).__name__, **dataclasses.asdict(self.config)})

    @classmethod
    def from_pretrained(cls, folder: Path) -> Self:
        """Read a network in evaluation mode.

        Raises
        ------
        InputError : a file is missing or broken, is of another network, or weights do not fit the config
        """
        network = cls(cls._read_config(Path(folder) / CONFIG))
        path = Path(folder) / WEIGHTS
        try:
            network.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise InputError(
                path, f"unusable weights ({error})", f"weights that fit {CONFIG}", "Train it again."
            ) from None
        return network.eval()

    @classmethod
    def _read_config(cls, path: Path) -> Any:
        todo = "Run the training that makes it, to its end."
        try:
            values = json.loads(path.read_text())
            if not isinstance(values, dict):
                raise ValueError(f"a {type(values).__name__}, not an object")
            class_name = values.pop("class", "no class")
            fields = {field.name: field for field in dataclasses.fields(cls.Config)}
            if class_name != cls.__name__ or set(values) != set(fields):
                raise InputError(path, f"a network {class_name}", f"a {cls.__name__}", todo)
            # JSON has no tuples.
            return cls.Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
        except OSError as error:
            raise InputError(path, str(error), f"the config of a {cls.__name__}", todo) from None
        except ValueError as error:
            raise InputError(path, f"no usable config ({error})", f"that of a {cls.__name__}", todo) from None
