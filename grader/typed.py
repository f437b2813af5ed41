"""Fields that come from a file, held against the dataclass that they are for: anybody may have edited a file of ours."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, TypeVar

_Made = TypeVar("_Made")


def typed(kind: type[_Made], fields: Mapping[str, Any]) -> _Made:
    """One of that kind; what else the fields hold is left out. A whole number may stand for a float.

    Raises:
        KeyError, TypeError, ValueError: a field is missing without a default, of another type, no finite number, or a text that
            UTF-8 cannot hold.
    """
    hints = _hints(kind)  # type: ignore[arg-type]
    known = {field.name: fields[field.name] for field in dataclasses.fields(kind) if _given(field, fields)}  # type: ignore[arg-type]
    return kind(**{name: value_of(hints[name], value, name) for name, value in known.items()})


_hints = functools.cache(typing.get_type_hints)  # it evaluates texts


def _given(field: dataclasses.Field[Any], fields: Mapping[str, Any]) -> bool:
    return field.name in fields or field.default is dataclasses.MISSING


def value_of(hint: Any, value: Any, name: str) -> Any:
    """The value, where it is what the hint says, down to the items of a tuple and of a mapping. `name` is for the sentence."""
    try:
        return _reader(hint)(value)
    except TypeError as error:
        raise TypeError(f"{name}={value!r:.40} is not of its type") from error
    except ValueError as error:
        raise ValueError(f"{name}={value!r:.40}: {error}") from error


@functools.cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    """What reads a value of that hint, and raises for any other: made once, since a report has thousands of cells."""
    if hint is Any:
        return lambda value: value
    hints = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = tuple(typing.get_origin(each) or each for each in hints)
    of_items = next((_reader(typing.get_args(each)[0]) for each in hints if typing.get_origin(each) is tuple), None)
    of_values = next((_reader(typing.get_args(each)[1]) for each in hints if typing.get_origin(each) is Mapping), None)
    as_float = float in kinds and int not in kinds

    def read(value: Any) -> Any:
        if as_float and type(value) is int and abs(value) < 1 << 53:
            value = float(value)
        if not isinstance(value, kinds) or (type(value) is bool and bool not in kinds):
            raise TypeError(f"{value!r:.40}: expected {hint}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("it is no finite number")
        if isinstance(value, str):
            value.encode()
        if of_items and isinstance(value, tuple):
            return tuple([of_items(item) for item in value])
        if of_values and isinstance(value, Mapping):
            return {value_of(str, key, "key"): of_values(item) for key, item in value.items()}
        return value

    return read


def file_name(text: str) -> str:
    """The text, where a file can have it for its name in the folder that we choose."""
    if not text or len(text) > 100 or not text.isprintable() or PurePath(text).name != text:
        raise ValueError(f"{text!r:.40} is no file's name")
    return text
