"""Record activations by name, while a network runs.

A layer is named by the module that computes it. An activation function that is a module of its own has that module's
name (``features.1``); one that is called as a function has the name of the calling module and of the function
(``layer1.0.relu``); the second call within a forward pass ends in ``#2``. Any other module can be named too: its
output is recorded. A ``TorchDispatchMode`` sees the activations, so their spelling does not matter: module, functional,
in-place, reused or traced. Hooks and mode are gone afterwards, whatever happened.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from weakref import ref

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vebi.errors import ModelError

#: The activation functions that are tapped by default: operator -> name. Gates (sigmoid, softmax) are not features.
ACTIVATIONS = {
    "relu": "relu",
    "relu_": "relu",
    "threshold": "threshold",
    "threshold_": "threshold",
    "relu6": "hardtanh",
    "hardtanh": "hardtanh",
    "hardtanh_": "hardtanh",
    "leaky_relu": "leaky_relu",
    "leaky_relu_": "leaky_relu",
    "prelu": "prelu",
    "_prelu_kernel": "prelu",
    "elu": "elu",
    "elu_": "elu",
    "selu": "elu",
    "selu_": "elu",
    "celu": "elu",
    "celu_": "elu",
    "silu": "silu",
    "silu_": "silu",
    "gelu": "gelu",
    "hardswish": "hardswish",
    "hardswish_": "hardswish",
    "mish": "mish",
    "mish_": "mish",
    "tanh": "tanh",
    "tanh_": "tanh",
}


aten = torch.ops.aten
#: A linear layer of N x H x W x C: the product of two matrices, seen as N x H x W x C again, and perhaps a bias.
_PRODUCTS, _VIEWS, _BIASES = (aten.addmm, aten.mm), (aten.view, aten._unsafe_view), (aten.add, aten.add_)

Keep = Callable[[str, str, Tensor], object]


class Recorder(TorchDispatchMode):
    """Hands every wanted activation to ``keep`` at once, before anything can change it in place.

    ``names`` are the layers that are wanted, None for all of them. ``keep(name, kind, activation)`` is told the
    activation function or the class of the module as the kind; ``kept`` maps the layer's name to what it returned.
    While gradients are on, ``edges`` maps the name to the place in the autograd graph where a backward pass can start,
    and ``owners`` every node of that graph to the innermost module that made it.
    Raises ModelError at the end where a wanted layer did not run, or no gradient passes through it.
    """

    def __init__(self, module: nn.Module, names: Iterable[str] | None, keep: Keep):
        super().__init__()
        self.kept: dict[str, object] = {}
        self.edges: dict[str, GradientEdge] = {}
        self.owners: dict[Node, str] = {}
        self._module = module
        self._names = None if names is None else frozenset(names)
        self._keep = keep
        self._stack: list[tuple[str, nn.Module, set[Node]]] = []
        self._calls: Counter[str] = Counter()
        self._pending: list[tuple[str, Tensor]] = []
        self._handles: list = []
        self._product: Callable[[], Tensor | None] = lambda: None
        self._channels_last: Callable[[], Tensor | None] = lambda: None  # what a linear layer gave for every position

    def __enter__(self):
        try:
            for name, part in self._module.named_modules():
                self._handles.append(part.register_forward_pre_hook(self._entering(name)))
                self._handles.append(part.register_forward_hook(self._leaving, always_call=True))
            return super().__enter__()
        except BaseException:
            self._unhook()
            raise

    def __exit__(self, *error):
        try:
            self._mark_edges()
        finally:
            super().__exit__(*error)
            self._unhook()
        if error[0] is None:
            self._check()

    def _unhook(self):
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._pending.clear()
        self._stack.clear()

    def _entering(self, name: str):
        def hook(part, inputs):
            self._stack.append((name, part, _nodes(inputs)))

        return hook

    def _leaving(self, part, _inputs, output):
        name, _, before = self._stack.pop()
        self._own(name, before, _nodes(output))
        if name and isinstance(output, Tensor) and name not in self.kept and output is not self._channels_last():
            self._record(name, type(part).__name__, output)
            self._mark_edges()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        self._mark_edges()
        output = operator(*args, **(kwargs or {}))
        function = ACTIVATIONS.get(operator.overloadpacket.__name__)
        if function is not None and self._stack:
            name = self._name(function)
            if args[0] is not self._channels_last():
                self._record(name, function, output)
        elif operator.overloadpacket in _PRODUCTS:
            self._product = ref(output)
        elif operator.overloadpacket in _VIEWS and output.ndim == 4 and args[0] is self._product():
            if output.shape[-1] == args[0].shape[-1]:
                self._channels_last = ref(output)
        elif operator.overloadpacket in _BIASES and args[0] is not None and args[0] is self._channels_last():
            self._channels_last = ref(output)
        return output

    def _name(self, function: str) -> str:
        path, part, _ = self._stack[-1]
        named = path and type(part).__module__ == "torch.nn.modules.activation"
        name = path if named else f"{path}.{function}".lstrip(".")
        self._calls[name] += 1
        return name if self._calls[name] == 1 else f"{name}#{self._calls[name]}"

    def _record(self, name: str, kind: str, output: Tensor):
        if self._names is None or name in self._names:
            self.kept[name] = self._keep(name, kind, output)
            self._pending.append((name, output))

    def _mark_edges(self):
        """Autograd attaches its node after the operator has returned, so it is looked up at the next one."""
        for name, output in self._pending:
            if output.requires_grad:
                self.edges[name] = get_gradient_edge(output)
        self._pending.clear()

    def _own(self, name: str, before: set[Node], after: set[Node]) -> None:
        """What lies between a module's inputs and outputs is its own, unless a module inside it has taken it."""
        while after:
            node = after.pop()
            if node not in before and node not in self.owners:
                self.owners[node] = name
                after.update(following for following, _ in node.next_functions if following is not None)

    def _check(self) -> None:
        for name in sorted(self._names or ()):
            if name not in self.kept:
                raise ModelError(f"the layer {name} did not run: name layers that every picture passes through")
            if torch.is_grad_enabled() and name not in self.edges:
                raise ModelError(f"no gradient leads from the layer {name} to the picture: name other layers")


def _nodes(values: object) -> set[Node]:
    """Where the tensors among some values come from."""
    return {x.grad_fn for x in tree_leaves(values) if isinstance(x, Tensor) and x.grad_fn is not None}
