"""Options from a TOML file: its values become the defaults of the options and arguments of a command."""

import tomllib
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

from vebi.errors import InputError, UsageError

Parameter = TyperArgument | TyperOption


def read_config(context: typer.Context, path: Path | None) -> None:
    """The callback of ``--config``.

    ``vebi bench run`` reads the table [bench.run]; the tables of other commands are left alone. What the command line
    gives wins.

    Args:
        context: The context of the command; gets the values as its defaults.
        path: The file, None where the option is not given.

    Raises:
        InputError: The file cannot be read as TOML.
        UsageError: It has a table of no command, an option that the command lacks, or a value of another type.
    """
    if path is None:
        return
    words = context.command_path.split()[1:]
    values = _select_table(_parse(path), context.find_root().command, words, path)
    table = ".".join(words)
    parameters = [x for x in context.command.params if isinstance(x, Parameter) and x.name != "config"]
    parameter_of = {name: parameter for parameter in parameters for name in _spellings(parameter)}
    defaults: dict[str, Any] = {}
    for key, value in values.items():
        parameter = parameter_of.get(key.replace("_", "-"))
        if parameter is None:
            known = ", ".join(_spellings(parameter)[0] for parameter in parameters)
            raise UsageError(f"{path} has {key!r} in [{table}], but `vebi {' '.join(words)}` takes {known}")
        if parameter.name in defaults:
            raise UsageError(f"{path} has {key!r} in [{table}] in two spellings: give one of them")
        defaults[parameter.name] = _as_typed(value, parameter, f"{key} in [{table}] of {path}")
    context.default_map = defaults


def _parse(path: Path) -> dict[str, Any]:
    from vebi.files import MOST_TEXT_BYTES, read_file  # it needs NumPy, which --help must not wait for

    try:
        return tomllib.loads(read_file(path, MOST_TEXT_BYTES).decode())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give a TOML file") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no TOML file that can be read ({error}): correct it") from None


def _select_table(content: dict[str, Any], group: Any, words: list[str], path: Path) -> dict[str, Any]:
    """The table of the command with these words, empty where the file has none. UsageError for anything else in it."""
    for k, word in enumerate(words):
        assert isinstance(group, TyperGroup)  # every word but the last names a group
        table = ".".join(words[:k])
        for name, value in content.items():
            if not isinstance(value, dict):
                position = f"in [{table}]" if table else "outside of any table"
                raise UsageError(f"{path} has {name!r} {position}, but it belongs to a command, as in [fit]")
            if name not in group.commands:
                position = f"in [{table}]" if table else "at its top"
                raise UsageError(f"{path} has {name!r} {position}, but only commands have tables, as [fit]")
        content, group = content.get(word, {}), group.commands[word]
    return content


def _spellings(parameter: Parameter) -> list[str]:
    """``batch-size`` for --batch-size, ``data`` for the argument; several where an option has several names."""
    return [name.removeprefix("--") for name in parameter.opts if name.startswith("--")] or [parameter.name]


def _as_typed(value: Any, parameter: Parameter, position: str) -> bool | str | list[str]:
    """A value of the file as one types it on the command line, so that both accept the same."""
    if getattr(parameter, "is_flag", False):
        if not isinstance(value, bool):
            raise UsageError(f"{position} is {value!r}, but true or false is needed")
        return value
    values = value if isinstance(value, list) else [value]
    if not values or any(isinstance(v, bool) or not isinstance(v, str | int | float) for v in values):
        raise UsageError(f"{position} is {value!r}, but text, a number or a list of them is needed")
    if parameter.multiple or parameter.nargs == -1:
        return [str(v) for v in values]
    if any("," in str(v) for v in values) and len(values) > 1:
        raise UsageError(f"{position} has a comma in a name: give a text file with one name per line instead")
    return ",".join(map(str, values))
