"""Options of the command line from the fields of dataclasses: a new field of `Request` is a new option."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """`command` for typer: each parameter that is a dataclass becomes an option for each of its fields.

    A field's metadata are arguments of `typer.Option`, such as its help.
    """
    parameters = signature(command, eval_str=True).parameters.values()
    records = {one.name: one.annotation for one in parameters if is_dataclass(one.annotation)}

    @wraps(command)
    def run(**values: Any) -> None:
        for name, kind in records.items():
            values[name] = kind(**{one.name: values.pop(one.name) for one in fields(kind)})
        command(**values)

    flat = [one for parameter in parameters for one in _flattened(parameter)]
    run.__signature__ = Signature(flat)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in flat}
    return run


def _flattened(parameter: Parameter) -> Iterator[Parameter]:
    """The parameter itself, or one for each field of its dataclass."""
    if not is_dataclass(parameter.annotation):
        yield parameter.replace(kind=Parameter.KEYWORD_ONLY)
        return
    hints = get_type_hints(parameter.annotation)
    for one in fields(parameter.annotation):
        switch = (f"--{one.name.replace('_', '-')}",) if hints[one.name] is bool else ()  # no --no-NAME
        annotation = Annotated[_typed(hints[one.name]), typer.Option(*switch, **one.metadata)]
        yield Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=annotation)


def _typed(hint: Any) -> Any:
    """The type without what nobody can type on a command line: `str | Mapping | None` -> `str | None`."""
    choices = tuple(choice for choice in get_args(hint) if get_origin(choice) not in (Mapping, tuple))
    if str in choices:  # which holds all else: "4000"
        choices = tuple(choice for choice in choices if choice in (str, type(None)))
    return Union[choices] if len(choices) > 1 else hint  # noqa: UP007
