"""Which images a data set has, and what they are called."""

from vebi.datasets.flowers.scene import FRAMES

#: Frame, position and rotation of an image, which together name it within its class.
ImageId = tuple[int, int, int]

POSITIONS = ROTATIONS = 5
IMAGES_PER_CLASS = FRAMES * POSITIONS * ROTATIONS


def image_ids(count: int) -> list[ImageId]:
    """The first images of a class as (n, p, r): frame, position, rotation.

    The order is fixed, so small sets are part of large ones. Forty consecutive images show every frame once, spaced as
    evenly as possible from the first on; rotations take turns, so the five folds are alike; positions come last.

    Args:
        count: How many images, 1 to 1000.
    """
    ids = []
    for i in range(count):
        block, step = divmod(i, FRAMES)
        ids.append((step * 11 % FRAMES, block // ROTATIONS, (step + block) % ROTATIONS))
    return ids


def file_name(c: int, n: int, p: int, r: int) -> str:
    """The name of an image and of its mask: class index, frame, position, rotation."""
    return f"class{c}_img{n}_p{p}_r{r}.png"
