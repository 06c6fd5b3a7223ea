"""The base of all settings: a key is declared once, with type, range, unit, default and a sentence.

A settings class holds one section of the config::

    class EncodeLatentsSettings(Settings):
        \"\"\"How frames become latents.\"\"\"

        batch_size: Annotated[Count, Unit("frames")] = 16
        \"\"\"Number of frames that the VAE encodes at once.\"\"\"

The schema, the reference page and the messages about wrong values are made from it
(`neurocine.config_reference`). The sentence under the field is the remedy in such a message.
"""

import json
import operator
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)

from neurocine.errors import InputError, InputErrors
from neurocine.schema_words import Schema, about, dotted, merge_types, range_words, unknown_key

Check = Callable[[Mapping[str, Any]], Iterator[InputError]]


@dataclass(frozen=True)
class Unit:
    """The unit of a number."""

    name: str

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(core), "x-unit": self.name}


@dataclass(frozen=True)
class Cosmetic:
    """Marks a key that changes what is seen of a training, not its result: it may differ when it resumes."""

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(core), "x-cosmetic": True}


@dataclass(frozen=True)
class Unique:
    """A list whose entries differ."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return AfterValidator(_refuse_repeats).__get_pydantic_core_schema__(source, handler)

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(core), "uniqueItems": True}


def _refuse_repeats(entries: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(entries)) < len(entries):
        raise ValueError("entries occur twice")
    return entries


@dataclass(frozen=True)
class KeyPattern:
    """A mapping whose keys match a pattern."""

    pattern: str

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(core), "propertyNames": {"pattern": self.pattern}}


@dataclass(frozen=True)
class OneOf:
    """Text that is one of names which are declared elsewhere; for names written here, take ``Literal``."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler.generate_schema(operator.getitem(Literal, self.names))


@dataclass(frozen=True)
class Holds:
    """A list that has a certain entry."""

    entry: str | int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return AfterValidator(self._check).__get_pydantic_core_schema__(source, handler)

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(core), "contains": {"const": self.entry}}

    def _check(self, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.entry not in entries:
            raise ValueError(f"{self.entry!r} is missing")
        return entries


class CombinationError(ValueError):
    """Values that exclude each other, as `InputError` each."""

    def __init__(self, problems: list[InputError]) -> None:
        super().__init__(" ".join(map(str, problems)))
        self.problems = problems


# The usual ranges of numbers, and choices that several sections have.
Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
# The schedules of diffusion models have a thousand time steps in training, of which samplers take some.
SamplingSteps = Annotated[int, Field(ge=1, le=1000)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
Seed = CountOrZero
Precision = Literal["no", "bf16", "fp16"]


class Settings(BaseModel):
    """Settings of one step, frozen and checked when they are made.

    A subclass changes the default of an inherited key by ``class X(Y, defaults={"steps": 6000})``; type,
    range, unit and sentence are those of the key.

    Attributes
    ----------
    checks : of values that exclude each other, from `neurocine.combinations`; the workflow runs the same ones
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
    checks: ClassVar[tuple[Check, ...]] = ()

    def __init_subclass__(cls, defaults: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)

    @classmethod
    def __pydantic_init_subclass__(cls, defaults: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        for name, value in (defaults or {}).items():
            field = cls.model_fields.get(name)
            if field is None or any(field is base.model_fields.get(name) for base in _bases(cls)):
                raise TypeError(f"{cls.__name__} has a default for {name}, which it does not inherit")
            field.default = value
        if defaults:
            cls.model_rebuild(force=True)

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        values = self.model_dump() if self.checks else {}
        problems = [problem for check in self.checks for problem in check(values)]
        if problems:
            raise CombinationError(problems)
        return self

    def replace(self, **changes: Any) -> Self:
        """Return the settings with other values, checked like all settings.

        Raises
        ------
        pydantic.ValidationError : a ValueError; an unknown key, or a value out of range
        """
        return type(self)(**(dict(self) | changes))

    def identity(self) -> dict[str, Any]:
        """Return the values that the result depends on: all but those of cosmetic keys."""
        cosmetic = {name for name, field in type(self).model_fields.items() if Cosmetic() in field.metadata}
        return self.model_dump(exclude=cosmetic)


AnySettings = TypeVar("AnySettings", bound=Settings)


def _bases(kind: type[Settings]) -> Iterator[type[Settings]]:
    """Yield the settings classes that a class inherits from."""
    yield from (base for base in kind.__mro__[1:] if issubclass(base, Settings))


def sentence(kind: type[Settings], name: str) -> str:
    """Return the sentence of a key, which a subclass with another default inherits."""
    text = kind.model_fields[name].description
    if text:
        return " ".join(text.split())
    raise TypeError(f"{kind.__name__}.{name} has no sentence under it")


def is_settings(kind: Any) -> bool:
    """Say whether a type is a settings class."""
    return isinstance(kind, type) and issubclass(kind, Settings)


def _tidy(node: Any) -> Any:
    """Drop pydantic's titles and class docstrings, and write unions of plain types as one list of types."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {
        key: _tidy(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))
    }
    return merge_types(tidy)


def settings_schema(kind: type[Settings]) -> Schema:
    """Return the JSON schema of a settings class with a sentence per key, its nested classes in ``$defs``."""
    schema: Schema = _tidy(kind.model_json_schema())
    nested = {inner.__name__: inner for inner in nested_settings(kind)}
    for name, inner in {"": kind, **nested}.items():
        node = schema["$defs"][name] if name else schema
        node.pop("description", None)
        for key, child in node.get("properties", {}).items():
            child["description"] = sentence(inner, key)
            if "const" in child:  # the only choice so far
                child["enum"] = [child.pop("const")]
    return schema


def nested_settings(kind: type[Settings]) -> Iterator[type[Settings]]:
    """Yield the settings classes that fields of a class hold, at any depth."""
    for field in kind.model_fields.values():
        for inner in _classes_in(field.annotation):
            yield inner
            yield from nested_settings(inner)


def _classes_in(hint: Any) -> Iterator[type[Settings]]:
    if get_origin(hint) in (None, types.GenericAlias) and is_settings(hint):
        yield hint
    for part in get_args(hint):
        yield from _classes_in(part)


def _unique_keys(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise InputError(key, "the key twice", "each key once", "Remove one of them.")
        content[key] = value
    return content


def read_json(text: str, where: str) -> dict[str, Any]:
    """Read a JSON object from text or, after an ``@``, from a file.

    Raises
    ------
    InputError : no JSON, not an object, or a key that occurs twice
    """
    try:
        value = json.loads(
            Path(text[1:]).read_text() if text.startswith("@") else text, object_pairs_hook=_unique_keys
        )
    except OSError as error:
        todo = "Give the path of a JSON file after the @, or the JSON itself."
        raise InputError(where, str(error), "a file that can be read", todo) from None
    except json.JSONDecodeError as error:
        raise InputError(
            where, f"invalid JSON ({error})", "a JSON object", "Quote it for the shell."
        ) from None
    except InputError as problem:
        raise InputError(f"{where}.{problem.where}", problem.found, problem.expected, problem.todo) from None
    if not isinstance(value, dict):
        raise InputError(where, type(value).__name__, "a JSON object", "Give {} for the defaults.")
    return value


def _problems(error: Mapping[str, Any], schema: Schema, value: Any, where: str) -> Iterator[InputError]:
    """Turn one of pydantic's errors into messages like those about the config."""
    path = list(error["loc"])
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, CombinationError):
        for problem in cause.problems:
            yield InputError(
                dotted([where, *path, problem.where]), problem.found, problem.expected, problem.todo
            )
        return
    node, text, depth = about(path, schema, value)
    if error["type"] == "extra_forbidden":
        yield unknown_key(where, path, schema, value)
    elif error["type"] == "missing":
        yield InputError(dotted([where, *path]), "nothing", range_words(node, schema), text)
    else:
        found = json.dumps(error["input"])
        yield InputError(dotted([where, *path[:depth]]), found, range_words(node, schema), text)


def parse_settings(kind: type[AnySettings], text: str, where: str) -> AnySettings:
    """Make settings from JSON text or ``@file``, checked as strictly as the config of a study.

    Parameters
    ----------
    kind : the settings class
    text : JSON object, or @ and the path of a file that holds one
    where : names the argument in messages

    Raises
    ------
    InputErrors : every problem found: an unknown key (with the nearest known one), a wrong type, a value out
        of its range, values that exclude each other, a missing key
    """
    value = read_json(text, where)
    try:
        return kind.model_validate_json(json.dumps(value))
    except ValidationError as error:
        schema = settings_schema(kind)
        problems = [
            p for each in error.errors(include_url=False) for p in _problems(each, schema, value, where)
        ]
        different = {(problem.where, problem.found): problem for problem in problems}
        raise InputErrors(f"{where or 'The settings'} cannot be used", list(different.values())) from None
