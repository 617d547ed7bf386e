"""The base of every schema, and the faults of a value by it as a line for a person."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from mer_data.errors import MerDataError, closest
from mer_data.files.yaml_files import Place, read_yaml

WholeNumber = Annotated[int, Field(strict=True)]
"""A whole number as such: neither true, nor 2.0, nor the text "2"."""
Number = Annotated[float, Field(strict=True)]
"""A number as such: neither true, nor the text "2"."""

MOST_FAULTS = 8
_MOST_CHARACTERS = 60


class StrictModel(BaseModel):
    """Unknown keys are errors that name the known ones; numbers are finite; loaded values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_known_keys(cls, value: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                cls.__name__, [_again(one, list(cls.model_fields)) for one in error.errors()]
            ) from None


def _again(one: ErrorDetails, known: Sequence[str]) -> InitErrorDetails:
    """The same error, with the known keys where it is about an unknown one."""
    message, kind = one["msg"], one["type"]
    if kind == "extra_forbidden":
        hint = _hint(str(one["loc"][-1]), known)
        message, kind = f"unknown key{hint or ','} known here: {', '.join(known) or 'none'}", "unknown_key"
    elif kind == "literal_error":
        message += _hint(str(one["input"]), re.findall(r"'([^']*)'", message))
        kind = "unknown_choice"  # a group around this one leaves it as it is
    told = PydanticCustomError(kind, "{message}", {"message": message})
    return InitErrorDetails(type=told, loc=one["loc"], input=one["input"])


def _hint(word: str, known: Sequence[str]) -> str:
    close = closest(word, known)
    return f", did you mean {close}?" if close else ""


def tell_faults(error: ValidationError, origin: Callable[[Place], str | None]) -> str:
    """Describe the faulty keys in one line.

    Args:
        error: of a schema.
        origin: where the value at a place came from: "line 3" of the file.
    """
    told = [_tell(one, origin(one["loc"])) for one in error.errors()]
    more = [f"and {len(told) - MOST_FAULTS} more"] if len(told) > MOST_FAULTS else []
    return "; ".join([*told[:MOST_FAULTS], *more])


def _tell(one: ErrorDetails, origin: str | None) -> str:
    key = ".".join(map(str, one["loc"]))
    message = one["msg"].removeprefix("Value error, ")
    simple = one["input"] is None or isinstance(one["input"], (str, int, float))
    found = f", found {_short(one['input'])}" if simple and one["type"] != "unknown_key" else ""
    parts = [f"{shortened(key)}: " if key else "", message, found, f" ({origin})" if origin else ""]
    return "".join(parts)


def _short(value: object) -> str:
    return shortened(repr(value[: _MOST_CHARACTERS + 1] if isinstance(value, str) else value))


def shortened(text: str) -> str:
    """Return ``text``, cut where it is too long for a line of an error."""
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


Model = TypeVar("Model", bound=BaseModel)


def load_model(path: Path, model: type[Model], what: str, error: type[MerDataError]) -> Model:
    """Read a YAML file by a schema.

    Args:
        path: of the file.
        model: its schema.
        what: it is, for the message: "table".
        error: class of the error to raise.

    Raises:
        MerDataError: of the class ``error``: the file cannot be read, or breaks the schema.
    """
    document = read_yaml(path, what, error)

    def line_of(place: Place) -> str | None:
        line = document.line(place)
        return f"line {line}" if line else None

    try:
        return model.model_validate(document.content)
    except ValidationError as fault:
        wrong = tell_faults(fault, line_of)
        raise error(f"wrong {what} ({wrong})", where=path, do="Correct these keys") from fault
