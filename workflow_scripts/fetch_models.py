"""Download the published networks that are not there yet."""

import json
from pathlib import Path

from neurocine.cli import program
from neurocine.models.fetch import FetchModelsSettings, fetch_models


@program
def main(*, folders: str, settings: FetchModelsSettings) -> None:
    """Download the published networks that are not there yet; check those that are.

    Parameters
    ----------
    folders : networks of the study and their folders, as a JSON object
    settings : section fetch_models of the config, as JSON
    """
    fetch_models({name: Path(folder) for name, folder in json.loads(folders).items()}, settings)


if __name__ == "__main__":
    main()
