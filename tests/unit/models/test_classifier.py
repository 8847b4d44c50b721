import pytest
import torch
from torch import nn

from vebi.errors import ModelError, UsageError
from vebi.models.classifier import Classifier, eval_mode
from vebi.models.preprocess import Preprocess

RGB = {"mean": (0.5, 0.25, 0.0), "std": (0.5, 0.25, 1.0)}


class Gives(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output


@pytest.mark.parametrize(
    ("output", "facts"),
    [
        ((torch.zeros(1, 3),), "tuple"),
        ({"logits": torch.zeros(1, 3)}, "dict"),
        (torch.zeros(1, 3, 2, 2), r"\(1, 3, 2, 2\)"),
        (torch.zeros(1), r"\(1,\)"),
        (torch.zeros(2, 3), r"\(2, 3\)"),
        (torch.zeros(1, 1), r"\(1, 1\)"),
        (torch.tensor([[0, torch.nan, 0]]), "NaN"),
        (torch.tensor([[0, torch.inf, 0]]), "NaN or infinity"),
        (torch.zeros(1, 4), r"4 class scores.* 3 class names.*\(a, b, c\)"),
    ],
)
def test_scores_that_cannot_be_used(output, facts):
    classifier = Classifier(Gives(output), Preprocess(4, **RGB), ("a", "b", "c"))
    with pytest.raises(ModelError, match=facts):
        classifier.logits(classifier.zero_input())


def test_two_classes_of_one_name():
    with pytest.raises(UsageError, match="'b'"):
        Classifier(nn.Identity(), Preprocess(4, **RGB), ("a", "b", "b"))


def test_hash_is_of_all_weights():
    def make(seed=0, **changes):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        return Classifier(net, Preprocess(4, **RGB)), net

    (one, net), (two, other) = make(), make()
    before = one.sha256()
    assert two.sha256() == before != make(1)[0].sha256()
    net.train()
    assert one.sha256() == before
    other[1].running_mean[0] += 1  # a buffer
    assert two.sha256() != before
    renamed = Classifier(nn.ModuleDict({"a": net[0], "b": net[1]}), one.preprocess)
    assert renamed.sha256() != before


def test_evaluating_gives_back_every_mode():
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    net[1].eval()
    modes = []

    def fail():
        with eval_mode(net):
            modes.extend(part.training for part in net.modules())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert modes == [False] * 4
    assert [part.training for part in net.modules()] == [True, True, False, False]
