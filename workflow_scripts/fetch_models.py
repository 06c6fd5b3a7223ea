"""Download the published networks that are not there yet."""

import json
from pathlib import Path

from neurocine.cli import program
from neurocine.models.fetch import FetchModelsSettings, fetch_models
from neurocine.models.lavis_weights import convert_weights


@program
def main(*, folders: str, settings: FetchModelsSettings) -> None:
    """Download the published networks that are not there yet; check those that are.

    Parameters
    ----------
    folders : networks of the study and their folders, as a JSON object
    settings : section fetch_models of the config, as JSON
    """
    places = {name: Path(folder) for name, folder in json.loads(folders).items()}
    fetch_models(places, settings)
    if "lavis" in places:
        convert_weights(places["lavis"])


if __name__ == "__main__":
    main()
