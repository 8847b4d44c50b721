"""A function becomes a command: shared options, a file of options, errors as one sentence."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

from vebi.cli import console
from vebi.cli.command import command
from vebi.errors import InputError

ENDS = {
    "stopped": KeyboardInterrupt(),
    "leaves": SystemExit(0),
    "exits": typer.Exit(0),
    "aborts": typer.Abort(),
    "closes": GeneratorExit(),
}


@dataclass(frozen=True)
class Size:
    """Two options."""

    width: Annotated[int, typer.Option(help="Pixels.")] = 3
    height: int = 2


@command(resumable=True)
def area(name: str, *, size: Size, scale: int = 1) -> None:
    """Print an area."""
    if name == "nobody":
        raise InputError("nobody has no area")
    if name in ENDS:
        raise ENDS[name]
    print("a library says something")
    console.print_json([name, scale * size.width * size.height])


def call(*words: str) -> int:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(area)
    with pytest.raises(SystemExit) as end:
        app(words, prog_name="vebi")
    return end.value.code


def test_a_dataclass_stands_for_its_options(capsys):
    assert call("a") == 0
    assert call("b", "--width", "5", "--scale", "2") == 0
    out, err = capsys.readouterr()
    assert "".join(out.split()) == '["a",6]["b",20]'
    assert err == 2 * "a library says something\n"


def test_the_options_stand_where_the_dataclass_does(capsys):
    assert call("--help") == 0
    text = capsys.readouterr().out
    positions = [text.index(option) for option in ("--width", "--height", "--scale", "--config")]
    assert positions == sorted(positions)
    assert "Print an area." in text
    assert "Pixels." in text


@pytest.mark.parametrize("name", ["leaves", "exits", "aborts", "closes"])
def test_a_model_that_ends_the_program_has_failed(capsys, name):
    assert call(name) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"vebi: the code of the model or of a method ends the program ({type(ENDS[name]).__name__}")
    assert err.count("\n") == 1


def test_an_error_is_one_sentence_and_a_code(capsys):
    assert call("nobody") == 3
    assert capsys.readouterr().err == "vebi: nobody has no area\n"


def test_a_command_that_resumes_says_so(capsys):
    assert call("stopped") == 130
    assert "resumes" in capsys.readouterr().err
