"""What a decoding method says of itself. Rules import this for every job, so it imports nothing heavy."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from neurocine.errors import InputError

Row = Mapping[str, Any]  # one experiment, complete
Config = Mapping[str, Any]


@dataclass(frozen=True)
class Training:
    """One training, which all experiments share that name it.

    Attributes
    ----------
    step : its rule
    key : its name among the trainings of this step; empty where there is only one
    parameters : what of an experiment it depends on; the same for all experiments that share it
    of : whose it is: of the study, of each subject, or of those who share vertices (each subject where all
        have their own, else the study)
    seed : one of ``train_seeds``; None for the study's own
    """

    step: str
    key: str = ""
    parameters: Row = field(default_factory=dict)
    of: Literal["study", "subject", "vertices"] = "subject"
    seed: int | None = None

    @property
    def folder(self) -> str:
        """Its folder below that of its owner."""
        return f"{self.step}/{self.key}" if self.key else self.step


def of_seed(key: str, row: Row) -> str:
    """Name the training ``key`` of an experiment that is trained with a seed of ``train_seeds``."""
    seed = row.get("train_seed")
    return key if seed is None else f"{key}_train{seed}"


class Method(ABC):
    """A decoding method, from the settings of its experiments to what is shown of it.

    Attributes
    ----------
    name : in the key ``method`` of experiments, and a folder of results
    definition : of an experiment's keys, in ``$defs`` of the config's schema
    parameters : keys of an experiment that tables show, in order
    titles : its trainings in order, step -> title on the page
    contrasts : contrastive losses of its trainings, step -> name in the log -> how many contrasts are added
        up in it, whose loss of chance is the logarithm of the batch each
    step : that writes a subject's clips, as ``{step}/{condition}.safetensors``
    fmri_conditions : conditions that this step makes of a subject's fMRI, ``fmri`` first
    text_conditions : conditions that are made of captions, once for all subjects
    encoder_conditions : conditions made without its decoder, once for the experiments that share what
        makes them (``encoder_clips``)
    draws : whether its clips depend on a seed of generation
    to_beat : whether it is a baseline, with which all other methods are compared
    main_experiment : that stands beside published values
    systems : names of this method in the table of published values
    ranks_areas : whether its networks tell which areas they read (``rank_areas``)
    """

    name: ClassVar[str]
    definition: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]]
    titles: ClassVar[Mapping[str, str]]
    contrasts: ClassVar[Mapping[str, Mapping[str, int]]] = {}
    step: ClassVar[str]
    fmri_conditions: ClassVar[tuple[str, ...]]
    text_conditions: ClassVar[tuple[str, ...]] = ()
    encoder_conditions: ClassVar[tuple[str, ...]] = ()
    draws: ClassVar[bool] = True
    to_beat: ClassVar[bool] = False
    main_experiment: ClassVar[str]
    systems: ClassVar[tuple[str, ...]] = ()
    ranks_areas: ClassVar[bool] = False

    @abstractmethod
    def trainings(self, row: Row, config: Config) -> tuple[Training, ...]:
        """List the trainings behind an experiment, with those that log what they do."""

    @abstractmethod
    def used(self, row: Row) -> dict[str, Any]:
        """Return those of ``parameters`` that an experiment uses."""

    def encoder_clips(self, row: Row) -> dict[str, str]:
        """Name the files of the ``encoder_conditions`` of an experiment, below the subject's folder."""
        return {}

    def decoders(self, row: Row) -> dict[str, str]:
        """Name the networks of an experiment that read fMRI, of a method that ``ranks_areas``.

        name -> folder below that of the subject; `neurocine.surface.probes` reads them.
        """
        return {}

    def permuted_decoders(self, row: Row, number: int) -> dict[str, str]:
        """Name the same networks trained on fMRI of other times, the n-th set; none where it trains none."""
        return {}

    def tables(self, config: Config) -> list[str]:
        """Name the tables that a result gets besides its scores."""
        return []

    def maps(self, config: Config) -> list[str]:
        """Name the brain maps of a result."""
        return []

    def exports(self, config: Config) -> list[str]:
        """Name the files of a result that other tools read."""
        return []

    def further(self, row: Row) -> list[str]:
        """Name the tables of a subject that an experiment shares with others, below the subject's folder."""
        return []

    def check(self, config: Config) -> Iterator[InputError]:
        """Find settings of its steps that exclude each other."""
        yield from ()


def register(*methods: Method) -> dict[str, Method]:
    """Return name -> method; ValueError where two share a name, or a training that only one can describe."""
    by_name: dict[str, Method] = {}
    titles: dict[str, str] = {}
    for method in methods:
        if method.name in by_name:
            raise ValueError(f"two methods are called {method.name}")
        for step, title in method.titles.items():
            if titles.setdefault(step, title) != title:
                raise ValueError(f"two methods give the training {step} different titles")
        by_name[method.name] = method
    return by_name
