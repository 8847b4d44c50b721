import pytest

from vebi.data.sources import open_images
from vebi.datasets.flowers.folds import fold_of, split
from vebi.errors import UsageError


def test_a_fold_is_a_number_of_a_name_modulo_5_or_the_index_modulo_5():
    assert fold_of("red/class0_img12_p4_r3.png", 0) == 3
    assert fold_of("red/class0_img12_p4_r3.png", 0, "rotation") == 3
    assert fold_of("red/class0_img12_p4_r3.png", 0, "frame") == 2
    assert fold_of("red/class11_img39_p0_r0.png", 0, "frame") == 4
    for folds_by in ("rotation", "frame"):
        assert [fold_of("a.png", i, folds_by) for i in range(7)] == [0, 1, 2, 3, 4, 0, 1]
    assert fold_of("img3.png", 1, "frame") == 1
    assert fold_of("a_r3.png", 1, "frame") == 1


@pytest.mark.parametrize(("folds_by", "part"), [("rotation", "r"), ("frame", "img")])
def test_a_split_is_a_partition_and_holds_out_one_fold(double, folds_by, part):
    images = open_images(double)
    training, test = split(images, 2, folds_by)
    assert sorted(training + test) == list(range(len(images)))
    assert len(test) == len(images) / 5
    numbers = [[int(images.ids[i].split(f"_{part}")[1].partition("_")[0].removesuffix(".png")) for i in k]
               for k in (training, test)]  # fmt: skip
    assert {n % 5 for n in numbers[0]} == {0, 1, 3, 4}
    assert {n % 5 for n in numbers[1]} == {2}
    assert not set(numbers[0]) & set(numbers[1])


def test_by_rotation_a_frame_can_be_on_both_sides_and_by_frame_it_cannot(tmp_path):
    """Two classes of 10 frames under every rotation."""
    for c in range(2):
        (tmp_path / f"{c}").mkdir()
        for n in range(10):
            for r in range(5):
                (tmp_path / f"{c}" / f"class{c}_img{n}_p0_r{r}.png").touch()
    images = open_images(tmp_path)
    for folds_by, shared in (("rotation", set("0123456789")), ("frame", set())):
        training, test = ({images.ids[i].split("_img")[1][0] for i in part} for part in split(images, 3, folds_by))
        assert training & test == shared
        assert test == (shared or {"3", "8"})


def test_folds_by_something_else():
    with pytest.raises(UsageError, match=r"'class'.*rotation, frame"):
        fold_of("a.png", 0, "class")
