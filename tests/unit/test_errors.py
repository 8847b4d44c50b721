import pytest

from vebi import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.VebiError, 1),
        (errors.UsageError, 2),
        (errors.InputError, 3),
        (errors.ImageError, 3),
        (errors.ModelError, 3),
        (errors.RunError, 3),
    ],
)
def test_the_kind_of_an_error_decides_the_exit_code(kind, code):
    assert issubclass(kind, errors.VebiError)
    assert kind("what was given").exit_code == code


def test_a_missing_extra_says_how_to_get_it():
    error = errors.MissingExtra("mitsuba", "flowers", "rendering flowers")
    assert (
        str(error) == "rendering flowers needs the package mitsuba, which is not installed: pip install 'vebi[flowers]'"
    )
    assert error.exit_code == 1
