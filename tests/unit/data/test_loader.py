"""Batches: every image once, in order, in bounded memory."""

import threading
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vebi.data.collections import DatasetImages
from vebi.data.loader import batches, report_skipped, skipped_note
from vebi.errors import ImageError, UsageError, VebiWarning


class Numbers:
    """A collection whose image i is a tensor of i; those in ``bad`` cannot be decoded."""

    class_names = ()

    def __init__(self, count: int, bad=(), error: Exception | None = None):
        self.ids = [f"#{i}" for i in range(count)]
        self.bad, self.error = bad, error
        self.loaded: list[int] = []

    def __len__(self):
        return len(self.ids)

    def load(self, index):
        self.loaded.append(index)
        if index in self.bad:
            raise self.error or ImageError(f"#{index} is damaged")
        return torch.full((1, 1, 1), float(index)), index % 3

    def fingerprint(self):
        return ""


def ready(image, name):
    return image


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 20), st.integers(1, 8))
def test_batches_give_every_image_once_in_order(data, count, size):
    order = data.draw(st.permutations(range(count)))
    bad = data.draw(st.sets(st.integers(0, 20)))
    given = list(batches(Numbers(count, bad), order, ready, size))
    assert len(given) == -(-count // size)
    assert [i for b in given for i in b.indices] == [i for i in order if i not in bad]
    assert [name for b in given for name, _ in b.skipped] == [f"#{i}" for i in order if i in bad]
    for batch in given:
        assert batch.inputs.flatten().tolist() == batch.indices
        assert batch.labels == [i % 3 for i in batch.indices]
        assert len(batch.indices) + len(batch.skipped) <= size


def test_strict_batches_stop_at_the_first_bad_image():
    with pytest.raises(ImageError, match="#4"):
        list(batches(Numbers(20, {4, 5, 9}), range(20), ready, 8, strict=True))


def test_what_is_no_image_error_surfaces():
    with pytest.raises(KeyError, match="a defect"):
        list(batches(Numbers(9, {4}, KeyError("a defect")), range(9), ready, 2))


def test_batch_size_is_checked():
    for size in (0, -1):
        with pytest.raises(UsageError, match=f"batch_size is {size}"):
            next(batches(Numbers(3), range(3), ready, size))


def test_no_more_than_two_batches_are_decoded_ahead_and_stopping_early_does_not_hang():
    images = Numbers(1000)
    threads = threading.active_count()
    running = batches(images, range(1000), ready, 5)
    for _ in range(3):
        next(running)
        time.sleep(0.02)  # time enough to run ahead
    running.close()
    assert len(images.loaded) <= 20  # three batches given out, one ahead
    assert threading.active_count() == threads


def test_stopping_early_does_not_wait_for_images_that_nobody_wants():
    class Slow(Numbers):
        def load(self, index):
            time.sleep(0.01)
            return super().load(index)

    images = Slow(40)
    running = batches(images, range(40), ready, 20)
    next(running)
    running.close()
    assert len(images.loaded) < 30


def test_a_data_set_is_not_asked_for_two_items_at_once():
    class Shy:
        inside = 0

        def __len__(self):
            return 24

        def __getitem__(self, index):
            self.inside += 1
            time.sleep(0.001)
            alone = self.inside == 1
            self.inside -= 1
            return torch.full((1, 1, 1), float(alone)), 0

    (batch,) = batches(DatasetImages(Shy(), ("a",)), range(24), ready, 24)
    assert batch.inputs.all()


def test_skipped_images_are_counted_and_named():
    assert skipped_note([], 3) == []
    assert "1 of 3" in skipped_note([("#1", "#1 is damaged")], 3)[0]
    (note,) = skipped_note([(f"#{i}", f"#{i} is damaged") for i in range(40)], 50)
    assert note.startswith("40 of 50")
    assert "#0 is damaged" in note
    assert note.endswith("#18, #19, ...")
    with pytest.warns(VebiWarning, match="1 of 3") as warned:
        report_skipped([("#1", "#1 is damaged")], 3)
    assert len(warned) == 1
