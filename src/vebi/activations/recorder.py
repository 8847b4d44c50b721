"""Record activations by name while a network runs.

A layer has the name of the module that computes it. An activation function that is a module has that module's name
(``features.1``); one that is called as a function has the name of the calling module and of the function
(``layer1.0.relu``); the second call within a forward pass ends in ``#2``. Any other module can be named too: its output
is recorded. A ``TorchDispatchMode`` sees the activations, so their spelling does not matter: module, functional,
in-place, reused or traced. Hooks and mode are removed afterwards, also after an error.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from threading import get_ident
from types import TracebackType
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import ref

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle

from vebi.errors import ModelError

#: Activation functions, recorded by default: operator -> name. Gates (sigmoid, softmax) are not features.
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
#: A linear layer of N x H x W x C: the product of two matrices, viewed as N x H x W x C, and perhaps a bias.
_PRODUCTS, _VIEWS, _BIASES = (aten.addmm, aten.mm), (aten.view, aten._unsafe_view), (aten.add, aten.add_)

Record = TypeVar("Record")
#: Name of the layer, its kind (activation function or class of the module) and its output -> what is recorded of it.
Keep = Callable[[str, str, Tensor], Record]


class _Call(NamedTuple):
    """A module that is running, and the nodes of the autograd graph that its inputs come from."""

    name: str
    module: nn.Module
    input_nodes: set[Node]


class ActivationRecorder(Generic[Record], TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not type it
    """Records layers during the forward passes of this thread inside its ``with`` block.

    Every output is handed to ``keep`` at once, before the network can change it in place. At the end of the block
    ModelError is raised where a named layer did not run, or, while gradients are on, where none passes through it.

    Args:
        module: The network.
        names: Names of the layers to record; None for all of them.
        keep: Called with the name of a layer, its kind (activation function or class of the module) and its output;
            what it returns is recorded.

    Attributes:
        records: Name of a layer -> what ``keep`` returned for it, in the order in which the layers ended.
        gradient_edges: Name of a layer -> where in the autograd graph a backward pass can start from it; empty while
            gradients are off.
        node_modules: Every node of the autograd graph -> name of the innermost module that created it.
    """

    def __init__(self, module: nn.Module, names: Iterable[str] | None, keep: Keep[Record]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not type it
        self.records: dict[str, Record] = {}
        self.gradient_edges: dict[str, GradientEdge] = {}
        self.node_modules: dict[Node, str] = {}
        self._module = module
        self._names = None if names is None else frozenset(names)
        self._keep = keep
        self._thread = get_ident()  # hooks belong to the network, which other threads may run meanwhile
        self._stack: list[_Call] = []
        self._calls: Counter[str] = Counter()
        self._pending: list[tuple[str, Tensor]] = []
        self._handles: list[RemovableHandle] = []
        self._product: Callable[[], Tensor | None] = lambda: None
        self._channels_last: Callable[[], Tensor | None] = lambda: None  # of a linear layer at every position

    def __enter__(self) -> "ActivationRecorder[Record]":
        try:
            for name, module in self._module.named_modules():
                self._handles.append(module.register_forward_pre_hook(self._pre_hook(name)))
                self._handles.append(module.register_forward_hook(self._post_hook, always_call=True))
            super().__enter__()  # type: ignore[no-untyped-call]  # torch does not type it
        except BaseException:
            self._unhook()
            raise
        return self

    def __exit__(
        self, error: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._mark_edges()
        finally:
            super().__exit__(error, value, traceback)  # type: ignore[no-untyped-call]  # torch does not type it
            self._unhook()
        if error is None:
            self.check(self._names or ())

    def _unhook(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._pending.clear()
        self._stack.clear()

    def _pre_hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            if get_ident() == self._thread:
                self._stack.append(_Call(name, module, _nodes(inputs)))

        return hook

    def _post_hook(self, module: nn.Module, _inputs: tuple[Any, ...], output: object) -> None:
        if get_ident() != self._thread:
            return
        name, _, input_nodes = self._stack.pop()
        self._assign_nodes(name, input_nodes, _nodes(output))
        if name and isinstance(output, Tensor) and name not in self.records and output is not self._channels_last():
            self._record(name, type(module).__name__, output)
            self._mark_edges()

    def __torch_dispatch__(
        self,
        operator: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # as the operator
        self._mark_edges()
        output = operator(*args, **(kwargs or {}))
        function = ACTIVATIONS.get(operator.overloadpacket.__name__)
        if function is not None and self._stack:
            name = self._name(function)
            if args[0] is not self._channels_last():
                self._record(name, function, output)
        else:
            self._follow_linear(operator.overloadpacket, args, output)
        return output

    def _follow_linear(self, packet: object, args: tuple[Any, ...], output: Any) -> None:
        """Notes the output of a linear layer of N x H x W x C, whose channels are not where they are looked for."""
        if packet in _PRODUCTS:
            self._product = ref(output)
        elif packet in _VIEWS:
            product = self._product()
            if (
                product is not None
                and args[0] is product
                and output.ndim == 4
                and output.shape[-1] == product.shape[-1]
            ):
                self._channels_last = ref(output)
        elif packet in _BIASES and args[0] is not None and args[0] is self._channels_last():
            self._channels_last = ref(output)

    def _name(self, function: str) -> str:
        path, module, _ = self._stack[-1]
        is_module = path and type(module).__module__ == "torch.nn.modules.activation"
        name = path if is_module else f"{path}.{function}".lstrip(".")
        self._calls[name] += 1
        return name if self._calls[name] == 1 else f"{name}#{self._calls[name]}"

    def _record(self, name: str, kind: str, output: Tensor) -> None:
        if self._names is None or name in self._names:
            self.records[name] = self._keep(name, kind, output)
            self._pending.append((name, output))

    def _mark_edges(self) -> None:
        """Autograd attaches its node after the operator has returned, so it is looked up at the next one."""
        for name, output in self._pending:
            if output.requires_grad:
                self.gradient_edges[name] = get_gradient_edge(output)
        self._pending.clear()

    def _assign_nodes(self, name: str, input_nodes: set[Node], nodes: set[Node]) -> None:
        """What lies between a module's inputs and outputs is its own, unless a module inside it has taken it."""
        seen, inside = set(input_nodes), f"{name}." if name else ""
        while nodes:
            node = nodes.pop()
            # on through what modules inside have taken: more of its own can lie behind, such as a function between them
            if node not in seen and self.node_modules.get(node, inside).startswith(inside):
                seen.add(node)
                self.node_modules.setdefault(node, name)
                nodes.update(following for following, _ in node.next_functions if following is not None)

    def check_ran(self, names: Iterable[str]) -> None:
        """Raises ModelError where a layer did not run."""
        for name in sorted(names):
            if name not in self.records:
                raise ModelError(f"the layer {name} did not run: name layers that every image passes through")

    def check(self, names: Iterable[str]) -> None:
        """Raises ModelError where a layer did not run, or where, while gradients are on, none passes through it."""
        self.check_ran(names)
        for name in sorted(names):
            if torch.is_grad_enabled() and name not in self.gradient_edges:
                raise ModelError(f"no gradient leads from the layer {name} to the image: name other layers")


def _nodes(values: object) -> set[Node]:
    """The nodes of the autograd graph that the tensors among ``values`` come from."""
    return {x.grad_fn for x in tree_leaves(values) if isinstance(x, Tensor) and x.grad_fn is not None}
