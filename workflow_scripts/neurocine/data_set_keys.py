"""Keys of the config that single data sets have; like all keys, only the reference is made from them."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from neurocine.datasets.algonauts_2021 import AREAS
from neurocine.datasets.hcp_7t import VALIDATION
from neurocine.settings import Count, CountOrZero, KeyPattern, Settings, Unique, Unit

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9]+$")]
Window = Annotated[tuple[int, ...], Field(min_length=2, max_length=2)]


class Hcp7TKeys(Settings):
    """The movies of HCP at 7 T."""

    stimulus_versions: Mapping[str, Literal["pre", "post"]] = {}
    """Map every subject to the version of the movies that it saw: pre, if scanned before 22 August 2014.

    The two versions differ in frames; the HCP lists who saw which. Subjects of one study saw one version.
    """
    windows: Annotated[
        Mapping[str, Annotated[tuple[Window, ...], Field(min_length=1)]],
        KeyPattern("^MOVIE[1-4]$"),
        Unit("s"),
    ] = {}
    """Map runs to the start and end of each excerpt in it, in seconds; empty takes the published windows.

    The last of every run is the repeated clip, which tests alone; the others train.
    """
    validation: Annotated[tuple[str, ...], Unique()] = VALIDATION
    """Name training excerpts to hold out: movie3_4 is the fourth window of MOVIE3."""


class Algonauts2021Keys(Settings):
    """The videos of Algonauts 2021."""

    areas: Annotated[tuple[Word, ...], Field(min_length=1), Unique()] = AREAS
    """Responses of these areas are read, each from its pickle; WB is the whole brain of the full track."""
    videos: Annotated[Count, Unit("videos")] = 1000
    """This many videos, by name, have fMRI; the others are not used."""
    per_movie: Annotated[Count, Unit("videos")] = 100
    """This many videos in a row count as one movie of the study."""
    validation_movies: Annotated[CountOrZero, Unit("movies")] = 1
    """The last movies before those to test on are held out of the training movies."""
    test_movies: Annotated[Count, Unit("movies")] = 1
    """The last movies are tested on."""
