"""Turns a function into a command: shared options, a file of options, errors as one sentence."""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, get_type_hints

from vebi.cli.console import keep_stdout
from vebi.cli.errors import exits_as_errors, report_errors
from vebi.cli.options import Config

Function = Callable[..., None]


def command(*, resumable: bool = False) -> Callable[[Function], Function]:
    """Makes a function a command of typer.

    A parameter that is annotated with a dataclass becomes one option per field; the function gets an instance of the
    dataclass. ``--config`` is added. An error ends in one sentence on stderr and an exit code.

    Args:
        resumable: Whether the same command resumes after an interruption; then the sentence says so.

    Returns:
        A decorator of functions.
    """
    return partial(_as_command, resumable=resumable)


def _as_command(function: Function, resumable: bool) -> Function:
    hints = get_type_hints(function, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if isinstance(kind, type) and is_dataclass(kind)}

    def run(**values: Any) -> None:
        values.pop("config", None)  # its callback has read it
        with report_errors(resumable), keep_stdout(), exits_as_errors():
            for name, kind in groups.items():
                values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
            function(**values)

    parameters = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in groups:
            parameters += _field_parameters(groups[name])
        else:
            parameters.append(_parameter(name, hints[name], parameter.default))
    parameters.append(_parameter("config", Config, None))
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__dict__["__signature__"] = inspect.Signature(parameters)  # what typer looks at
    return run


def _field_parameters(kind: type) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [_parameter(field.name, hints[field.name], field.default) for field in fields(kind)]


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
