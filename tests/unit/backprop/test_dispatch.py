"""A backward pass whose operators go through a function."""

import pytest
import torch
import torch.nn.functional as F

from vebi.backprop.dispatch import BackwardMode

aten = torch.ops.aten


def backward(replacement, function=F.relu):
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    y, seed = function(x), torch.tensor([3.0, 5.0])
    with BackwardMode(replacement):
        (gradient,) = torch.autograd.grad(y, x, seed)
    return gradient


@pytest.mark.parametrize("function", [F.relu, torch.nn.ReLU(), lambda x: torch.relu_(x.clone())])
def test_an_operator_is_replaced_however_its_function_was_spelled(function):
    def double_instead(operator, args, kwargs):
        return 2 * args[0] if operator.overloadpacket is aten.threshold_backward else operator(*args, **kwargs)

    assert backward(double_instead, function).tolist() == [6, 10]
    assert backward(lambda operator, args, kwargs: operator(*args, **kwargs), function).tolist() == [0, 5]


def test_operators_that_the_replacement_runs_are_not_replaced():
    calls = []

    def replacement(operator, args, kwargs):
        calls.append(operator.overloadpacket)
        return operator(*args, **kwargs) + 1 - 1

    assert backward(replacement).tolist() == [0, 5]
    assert calls.count(aten.threshold_backward) == 1
    assert not {aten.add, aten.sub} & set(calls)


def test_nothing_is_replaced_after_a_failure():
    def refuse(operator, args, kwargs):
        raise ValueError(str(operator))

    with pytest.raises(ValueError, match="aten"):
        backward(refuse)
    assert (torch.ones(2) + 1).tolist() == [2, 2]
