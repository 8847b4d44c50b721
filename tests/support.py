"""Helpers that tests import by name."""

from beartype import BeartypeConf, beartype

#: Shapes and types are checked at run time; an int is welcome where a float is expected.
typecheck = beartype(conf=BeartypeConf(is_pep484_tower=True))
