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
    error = errors.MissingExtraError("mitsuba", "flowers", "rendering flowers")
    assert all(fact in str(error) for fact in ("rendering flowers", " mitsuba,", "pip install 'vebi[flowers]'"))
    assert error.exit_code == 1


def test_names_in_a_message_are_not_too_many():
    assert errors.join_names(["a", "b"]) == "a, b"
    assert errors.join_names(list("abcde"), most=2) == "a, b and 3 more"
