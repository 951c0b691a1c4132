"""Rearranges a quantised detector for the integer kernels of ONNX Runtime: a tenth less time.

Its answers stay what they were, bit by bit. What is in 8 bits lies in memory as pictures do,
channels last, so that what is called Transpose and Reshape here moves nothing.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

LEVELS = 255
FOUR = 4
"""Pixels side by side that become one place of the first convolution."""
SINGLE = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
GROUPED = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 1, 0, 0]}
"""Forms of the first convolution, by ONNX's names: of pixels, and of groups of four."""
RESIZE = ("X", "roi", "scales")
"""What an operator Resize takes that does not take a size."""
STRIDES = "strides"
"""Initializer of `BestCandidates`: the stride of each place, map by map."""
BETWEEN = {"Relu", "QuantizeLinear", "DequantizeLinear"}
CUT = "DequantizeLinear", "QuantizeLinear", "Slice"
TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""Permutations that put channels last, and first again."""
Bytes = NDArray[np.int8]


class _Graph:
    """A graph in QDQ form, and who makes and uses each tensor."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self._weights = {each.name: each for each in self.graph.initializer}
        self.index()

    def index(self) -> None:
        """Looks again at who makes and uses what."""
        self.maker = {output: node for node in self.graph.node for output in node.output}
        self.users: dict[str, list[NodeProto]] = {}
        for node in self.graph.node:
            for tensor in node.input:
                self.users.setdefault(tensor, []).append(node)

    def value(self, name: str) -> NDArray[np.generic]:
        return np.asarray(numpy_helper.to_array(self._weights[name]))

    def set(self, name: str, value: NDArray[np.generic]) -> None:
        tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
        if name in self._weights:
            self._weights[name].CopyFrom(tensor)
        else:
            self.graph.initializer.append(tensor)
            self._weights[name] = self.graph.initializer[-1]

    def replace(self, nodes: Sequence[NodeProto], by: Sequence[NodeProto]) -> None:
        """Puts other nodes in the place of the first of some."""
        place = min(list(self.graph.node).index(node) for node in nodes)
        for node in nodes:
            self.graph.node.remove(node)
        for node in reversed(by):
            self.graph.node.insert(place, node)
        self.index()

    def forget_unused(self) -> None:
        for weights in [each for each in self.graph.initializer if each.name not in self.users]:
            self.graph.initializer.remove(weights)

    def reshape(self, tensor: str, shape: tuple[int, ...], out: str) -> NodeProto:
        self.set(f"{out}_shape", np.array(shape, np.int64))
        return helper.make_node("Reshape", [tensor, f"{out}_shape"], [out])


def rearrange(model: onnx.ModelProto) -> None:
    """Does all that is below, in place.

    Args:
        model: A quantised detector of RGB (1, 3, H, W), 0 to 1. Afterwards it takes BGR bytes
            (1, H, W, 3).
    """
    graph = _Graph(model)
    take_bytes(graph)
    copy_to_enlarge(graph)
    join_whole(graph)
    box_the_best(graph)
    graph.forget_unused()
    del model.graph.value_info[:]


def take_bytes(graph: _Graph) -> None:
    """Gives a network an input of BGR (1, H, W, 3) 0 to 255 in place of RGB (1, 3, H, W) 0 to 1.

    Its first step made bytes of the numbers that the device had made of bytes. The weights of the
    first convolution change places with the colours.
    """
    source = graph.graph.input[0]
    _, colours, height, width = (axis.dim_value for axis in source.type.tensor_type.shape.dim)
    (quantise,) = graph.users[source.name]
    (widen,) = graph.users[quantise.output[0]]
    convolutions = graph.users[widen.output[0]]
    _, scale, zero = quantise.input
    larger = (
        float(graph.value(scale).item()) * LEVELS
    )  # than a level was, where no picture had a white
    graph.set(scale, np.float32(1 / LEVELS).reshape(()))
    graph.set(zero, np.uint8(0).reshape(()))
    for convolution in convolutions:
        kernel = graph.maker[convolution.input[1]].input[0]
        graph.set(kernel, graph.value(kernel)[:, ::-1])
        bias, unit = graph.maker[convolution.input[2]].input[:2]  # in levels of input times weights
        graph.set(bias, np.rint(graph.value(bias) * larger).astype(np.int32))
        graph.set(unit, (graph.value(unit) / larger).astype(np.float32))
    shape = [1, height, width, colours]
    source.CopyFrom(helper.make_tensor_value_info(source.name, TensorProto.UINT8, shape))
    pixels, before = source.name, []
    if [_form(convolution) for convolution in convolutions] == [SINGLE]:
        pixels = f"{source.name}_in_fours"
        before = [graph.reshape(source.name, (0, 0, -1, FOUR * colours), pixels)]
        _group_columns(graph, convolutions[0])
    planes = helper.make_node("Transpose", [pixels], [quantise.output[0]], perm=TO_FIRST)
    graph.replace([quantise], [*before, planes])


def _form(convolution: NodeProto) -> dict[str, list[int]]:
    return {a.name: list(a.ints) for a in convolution.attribute if a.name in SINGLE}


def _group_columns(graph: _Graph, convolution: NodeProto) -> None:
    """Makes a convolution take pixels by fours, and give the channels of two places at once.

    The kernels want channels by fours; three are gathered pixel by pixel, in three times the time.
    """
    kernel, bias = (graph.maker[name] for name in convolution.input[1:])
    graph.set(kernel.input[0], in_fours(graph.value(kernel.input[0]).astype(np.int8)))
    for name in (*kernel.input[1:], *bias.input):
        graph.set(name, np.tile(graph.value(name), 2))
    for attribute in convolution.attribute:
        if attribute.name in GROUPED:
            attribute.ints[:] = GROUPED[attribute.name]
    (made,) = graph.users[convolution.output[0]]
    while made.op_type != "QuantizeLinear":
        (made,) = graph.users[made.output[0]]
    out, pairs = made.output[0], f"{made.output[0]}_pairs"
    made.output[0] = pairs
    channels = len(graph.value(kernel.input[1])) // 2
    apart = [
        helper.make_node("Transpose", [pairs], [f"{pairs}_last"], perm=TO_LAST),
        graph.reshape(f"{pairs}_last", (0, 0, -1, channels), f"{pairs}_apart"),
        helper.make_node("Transpose", [f"{pairs}_apart"], [out], perm=TO_FIRST),
    ]
    graph.replace([made], [made, *apart])


def in_fours(kernel: Bytes) -> Bytes:
    """A kernel (O, C, 3, 3) of step 2 and padding 1, for groups of four pixels.

    Returns:
        (2 O, 4 C, 3, 2): for two places side by side, of the group before theirs and their own.
    """
    out, colours, rows, _ = kernel.shape
    grouped = np.zeros((2, out, FOUR, colours, rows, 2), kernel.dtype)
    for right, column, group, pixel in _columns():
        grouped[right, :, pixel, :, :, group] = kernel[..., column]
    return grouped.reshape(2 * out, FOUR * colours, rows, 2)


def one_by_one(grouped: NDArray[np.float32]) -> NDArray[np.float32]:
    """The kernel that `in_fours` made these of."""
    out, channels, rows, _ = grouped.shape
    left = grouped[: out // 2].reshape(out // 2, FOUR, channels // FOUR, rows, 2)
    columns = [left[:, pixel, :, :, group] for right, _, group, pixel in _columns() if not right]
    return np.stack(columns, axis=-1)


def _columns() -> Iterator[tuple[int, int, int, int]]:
    """Which of two places sees by which column of its kernel which group's which pixel."""
    for right in range(2):
        for column in range(3):
            yield right, column, *divmod(2 * right + column - 1 + FOUR, FOUR)


def copy_to_enlarge(graph: _Graph) -> None:
    """Doubles maps by copying their columns and rows: the kernel for it goes value by value."""
    for resize in [node for node in graph.graph.node if _doubles(graph, node)]:
        source = graph.maker[resize.input[0]]
        (made,) = graph.users[resize.output[0]]
        convolution = source
        while convolution.op_type in BETWEEN:
            convolution = graph.maker[convolution.input[0]]
        if convolution.op_type != "Conv" or made.op_type != "QuantizeLinear":
            continue  # is not computed in 8 bits
        channels = len(graph.value(graph.maker[convolution.input[1]].input[0]))
        last, wide, columns, rows, tall, whole = (f"{resize.name}_{n}" for n in range(6))
        copies = [
            helper.make_node("Transpose", [source.input[0]], [last], perm=TO_LAST),
            helper.make_node("Concat", [last, last], [wide], axis=3),
            graph.reshape(wide, (0, 0, -1, channels), columns),
            graph.reshape(columns, (-1, 1, 0, 0), rows),
            helper.make_node("Concat", [rows, rows], [tall], axis=1),
            graph.reshape(tall, (1, -1, 0, 0), whole),
            helper.make_node("Transpose", [whole], [made.output[0]], perm=TO_FIRST),
        ]
        graph.replace([resize, made], copies)


def _doubles(graph: _Graph, node: NodeProto) -> bool:
    """Whether it makes four of each value."""
    modes = [attribute.s for attribute in node.attribute if attribute.name == "mode"]
    if node.op_type != "Resize" or modes != [b"nearest"] or len(node.input) != len(RESIZE):
        return False
    return graph.value(node.input[2]).tolist() == [1, 1, 2, 2]


def join_whole(graph: _Graph) -> None:
    """Joins a map whole where its halves, which were cut apart, are joined again."""
    for join in [node for node in graph.graph.node if node.op_type == "Concat"]:
        halves = [list(_cut(graph, name)) for name in join.input[:2]]
        if [len(half) for half in halves] != [len(CUT), len(CUT)]:
            continue
        if any(len(graph.users[node.output[0]]) > 1 for node in halves[0]):
            continue
        (*_, first), (*_, second) = halves
        cuts = [[graph.value(name).tolist() for name in cut.input[1:3]] for cut in (first, second)]
        (begin, middle), (after, _) = cuts
        if first.input[0] != second.input[0] or begin != [0] or middle != after:
            continue
        whole = [first.input[0], *join.input[2:]]
        del join.input[:]
        join.input.extend(whole)
        for node in halves[0]:
            graph.graph.node.remove(node)
        graph.index()


def _cut(graph: _Graph, tensor: str) -> Iterator[NodeProto]:
    """What a part of a map comes from, back to where it was cut out."""
    for kind in CUT:
        node = graph.maker.get(tensor)
        if node is None or node.op_type != kind:
            return
        yield node
        tensor = node.input[0]


def box_the_best(graph: _Graph) -> None:
    """Lets the last convolutions of boxes see the best candidates only, not all places."""
    for gather in [node for node in graph.graph.node if node.op_type == "GatherElements"]:
        joined, best = (graph.maker.get(name) for name in gather.input)
        if not joined or not best or (joined.op_type, best.op_type) != ("Concat", "Expand"):
            continue
        flat = [graph.maker[name] for name in joined.input]
        answers = [graph.maker[node.input[0]] for node in flat]
        reads = [graph.maker[node.input[0]] for node in answers]
        if {node.op_type for node in (*answers, *reads)} != {"Conv", "DequantizeLinear"}:
            continue
        index = graph.reshape(best.input[0], (-1,), f"{gather.name}_best")
        seen = f"{gather.name}_seen"
        gathered = list(_gathered(graph, reads, index.output[0], seen))
        strides = f"{gather.name}_strides"
        gathered += [helper.make_node("Gather", [STRIDES, index.output[0]], [strides], axis=2)]
        for read in reads:
            read.input[0] = seen
        for node in (*reads, *answers, *flat, joined, best):
            graph.graph.node.remove(node)
        chosen = _each_of_its_map(graph, [*zip(reads, answers, strict=True)], strides)
        chosen[-1].output[0] = gather.output[0]
        graph.replace([gather], [index, *gathered, *chosen])


def _gathered(
    graph: _Graph, reads: Sequence[NodeProto], index: str, out: str
) -> Iterator[NodeProto]:
    """Bytes of all maps at some places, (1, C, COUNT, 1), before they are made numbers of."""
    for n, read in enumerate(reads):
        last = f"{out}_last_{n}"
        (convolution,) = graph.users[read.output[0]]
        channels = graph.value(convolution.input[1]).shape[1]
        yield helper.make_node("Transpose", [read.input[0]], [last], perm=TO_LAST)
        yield graph.reshape(last, (1, -1, channels), f"{out}_{n}")
    maps = [f"{out}_{n}" for n in range(len(reads))]
    every, some, few = (f"{out}_{what}" for what in ("every", "some", "few"))
    yield helper.make_node("Concat", maps, [every], axis=1)
    yield helper.make_node("Gather", [every, index], [some], axis=1)
    yield helper.make_node("Transpose", [some], [few], perm=(0, 2, 1))
    yield graph.reshape(few, (0, 0, -1, 1), out)


def _each_of_its_map(
    graph: _Graph, towers: Sequence[tuple[NodeProto, NodeProto]], strides: str
) -> list[NodeProto]:
    """What each map's convolution answers to all candidates, and of these its own."""
    nodes, chosen = [], ""
    for n, (read, answer) in enumerate(towers):
        wide, one, boxes = (f"{strides}_{what}_{n}" for what in ("wide", "one", "boxes"))
        read.output[0], answer.input[0], answer.output[0] = wide, wide, one
        nodes += [read, answer, graph.reshape(one, (0, 0, -1), boxes)]
        if chosen:
            stride, is_its, either = (f"{strides}_{what}_{n}" for what in ("of", "is", "either"))
            graph.set(stride, np.unique(graph.value(STRIDES))[n].reshape(()))
            nodes += [
                helper.make_node("Equal", [strides, stride], [is_its]),
                helper.make_node("Where", [is_its, boxes, chosen], [either]),
            ]
            boxes = either
        chosen = boxes
    return nodes
