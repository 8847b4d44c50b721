"""The names and ids of classes, by which they must be told apart."""

from collections import Counter
from collections.abc import Sequence

from vebi.errors import UsageError
from vebi.files import normal


def check_names(names: Sequence[str], ids: Sequence[str] | None) -> None:
    """Checks that classes can be told apart by their names and ids, whether composed or decomposed, and go together.

    Args:
        names: One per class.
        ids: What folders of images are called instead, one for each name, or None.

    Raises:
        UsageError: Two classes have one name or id, or there is not one id for each name.
    """
    if ids is not None and len(ids) != len(names):
        raise UsageError(f"there are {len(ids)} class ids and {len(names)} class names: give one id for each name")
    for kind, given in (("called", names), ("known by the id", ids or ())):
        forms = list(map(normal, given))
        twice = next((form for form, count in Counter(forms).items() if count > 1), None)
        if twice is not None:
            places = " and ".join(
                str(k) if ids is None else f"{k} ({ids[k]} {names[k]})" for k, form in enumerate(forms) if form == twice
            )
            raise UsageError(f"two classes are {kind} {twice!r}, {places}: give every class one of its own")
    index = {normal(name): k for k, name in enumerate(names)}
    both = next((i for k, i in enumerate(ids or ()) if index.get(normal(i), k) != k), None)
    if both is not None:
        raise UsageError(f"{both!r} is the id of one class and the name of another one: give ids that are no names")
