"""Receptive fields: which pixels a position of a layer can see, found in the graph of the network itself.

What common operators see of their inputs the graph tells (``vebi.backprop.field_steps``); what any other one sees is
measured (``vebi.backprop.field_measurement``).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from vebi.activations.detached import leading_nodes
from vebi.activations.layers import Layer, describe_layer, match_layers
from vebi.activations.recorder import ActivationRecorder, Keep, Record
from vebi.backprop.field_axis import Axis, join
from vebi.backprop.field_measurement import measure_step
from vebi.backprop.field_steps import Place, Step, read_steps
from vebi.errors import ModelError, join_names
from vebi.models.classifier import Classifier


@dataclass(frozen=True)
class ReceptiveField:
    """The pixels that the positions of a layer see.

    Position (i, j) sees those from ``start + jump * (i, j)`` on, ``size`` of them. Parts of the field may lie outside
    of the image. Of a field that is larger than the image, a part as large as the image around its centre is kept.

    Attributes:
        start: Top left pixel (y, x) of the field of position (0, 0).
        jump: Pixels from one position to the next, (vertically, horizontally).
        size: Pixels, (height, width).
    """

    start: tuple[float, float]
    jump: tuple[float, float]
    size: tuple[int, int]

    def corner(self, position: tuple[int, int]) -> tuple[int, int]:
        """Finds where the field of a position begins.

        Args:
            position: Row and column in the layer's map.

        Returns:
            Its top left pixel (y, x).
        """
        y, x = (math.floor(s + j * p + 0.5) for s, j, p in zip(self.start, self.jump, position, strict=True))
        return y, x


def receptive_fields(classifier: Classifier, names: Sequence[str]) -> dict[str, ReceptiveField]:
    """Measures the receptive fields of layers at the classifier's input size.

    From operator to operator, or from layer to layer where it has to be measured, it is found what a position sees of
    what lies just before it; what that sees of the image is known by then. So fields that reach beyond the image are
    known, too.

    Args:
        classifier: The network.
        names: Names of layers.

    Returns:
        Name of a layer -> the field of its positions; all of the image for a layer without positions.

    Raises:
        ModelError: A layer did not run, or no gradient leads from it to the image.
    """
    with _recorded(classifier, lambda *_: None) as (recorder, fields):
        recorder.check(names)
        cut_off = [name for name in names if not fields.lead(name)]
        if cut_off:
            raise ModelError(f"no gradient leads from {join_names(cut_off)} to the image: name other layers")
        return {name: fields.of(name) for name in names}


def list_layers_with_fields(
    classifier: Classifier, patterns: str | Sequence[str] | None = None
) -> list[tuple[Layer, ReceptiveField | None]]:
    """The layers that match and their fields, in one pass.

    Args:
        classifier: The network.
        patterns: See ``match_layers``; by default there is every layer.

    Returns:
        Each layer with its field; without one where no gradient leads from it to the image.

    Raises:
        UsageError: A pattern matches no layer.
        ModelError: The network fails.
    """
    with _recorded(classifier, describe_layer) as (recorder, fields):
        layers = [layer for layer in recorder.records.values() if layer is not None]
        chosen = match_layers(layers, patterns) if patterns else layers
        return [(layer, fields.of(layer.name) if fields.lead(layer.name) else None) for layer in chosen]


@contextmanager
def _recorded(classifier: Classifier, keep: Keep[Record]) -> Iterator[tuple[ActivationRecorder[Record], "_Fields"]]:
    """A forward pass of all layers, and the fields in its graph, for the block."""
    with classifier.evaluation(), torch.inference_mode(False), torch.enable_grad():
        inputs = classifier.zero_input().requires_grad_()
        with ActivationRecorder(classifier.model, None, keep) as recorder:
            classifier.logits(inputs.clone())  # a network may change its input in place
        yield recorder, _Fields(recorder.gradient_edges, inputs)


class _Fields:
    """The fields of layers, along both axes and in full."""

    def __init__(self, edges: Mapping[str, GradientEdge], inputs: Tensor) -> None:
        self._size = inputs.shape[2:]
        self._places = {name: _place(edge) for name, edge in edges.items()}
        self._image = _place(get_gradient_edge(inputs))
        self._leading = leading_nodes([place.node for place in self._places.values()], self._image.node)
        # what has no positions tells nothing, nor does what is no map of the image, such as a kernel
        spatial = [p for p in self._places.values() if len(p.shape) == 4 and p.node in self._leading]
        self._layers = {place.node: place for place in reversed(spatial)}
        self._sources: dict[Place, list[tuple[Place, Step | None]]] = {}
        self._known: dict[Place, Step] = {self._image: (Axis(0, 1, 1), Axis(0, 1, 1))}

    def lead(self, name: str) -> bool:
        """Whether a gradient leads from a layer to the image."""
        return name in self._places and self._places[name].node in self._leading

    def of(self, name: str) -> ReceptiveField:
        """The field of a layer."""
        height, width = self._size
        layer = self._places[name]
        if len(layer.shape) != 4:
            return ReceptiveField((0.0, 0.0), (0.0, 0.0), (height, width))
        pending = [layer]
        while pending:  # what lies before a place first
            place = pending[-1]
            if place not in self._sources:
                self._sources[place] = self._look_back(place)
            unknown = [source for source, _ in self._sources[place] if source not in self._known]
            if unknown:
                pending += unknown
            elif pending.pop() not in self._known:
                self._known[place] = self._join(place)
        y, x = (axis.clip(pixels) for axis, pixels in zip(self._known[layer], (height, width), strict=True))
        return ReceptiveField((y.start, x.start), (y.jump, x.jump), (round(y.size), round(x.size)))

    def _look_back(self, place: Place) -> list[tuple[Place, Step | None]]:
        """What lies before a place, with what is seen of it, or None where that has to be measured."""
        read = read_steps(place, self._leading)
        return [(before, None) for before in self._before(place.node)] if read is None else [*read]

    def _before(self, node: Node) -> list[Place]:
        """The layers just before a node, and the image where a way leads there without passing one."""
        ends, seen = dict[Place, None](), set[Node]()
        pending = [following for following, _ in node.next_functions]
        while pending:
            one = pending.pop()
            if one is None or one in seen:
                continue
            seen.add(one)
            if one in self._layers or one is self._image.node:
                ends[self._layers.get(one, self._image)] = None
            else:
                pending += [following for following, _ in one.next_functions]
        return list(ends)

    def _join(self, place: Place) -> Step:
        """The field of a place, from those of what lies just before it."""
        ways = list[Step]()
        for source, read in self._sources[place]:
            step = read or measure_step(place, source)
            if step is not None:
                known = self._known[source]
                ways.append((step[0].through(known[0]), step[1].through(known[1])))
        y, x = (join([way[k] for way in ways], place.shape[2 + k], self._size[k]) for k in (0, 1))
        return y, x


def _place(edge: GradientEdge) -> Place:
    return Place(edge.node, edge.output_nr)
