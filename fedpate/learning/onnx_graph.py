"""Parts of an ONNX graph: raw records in, probabilities of the classes out.

Written by hand, node by node: the graph says what it does, does not depend on torch's exporter, and
takes a hundredth of its time. Preprocessing is part of it. Sums that decide between classes are
done in float64, as in `predict`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from fedpate.data.preprocessing import Preprocessing
from fedpate.learning.fitted import TorchTeacher

INPUT, OUTPUT = "features", "probabilities"
OPSET, IR_VERSION = 17, 8  # of 2022: what any runtime in use can read


class Graph:
    """Nodes and constants under construction; every method returns the name of a value."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """One node with one output."""
        name = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """One array."""
        name = f"constant_{len(self._constants)}"
        array = np.array(value, dtype)  # a copy in row order
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def double(self, value: str) -> str:
        """A value as float64."""
        return self.node("Cast", value, to=TensorProto.DOUBLE)

    def model(self, result: str, record_shape: Sequence[int], n_classes: int) -> ModelProto:
        """The finished model, with `result` (n, n_classes) as its output in float32."""
        self._nodes.append(helper.make_node("Cast", [result], [OUTPUT], to=TensorProto.FLOAT))
        graph = helper.make_graph(
            self._nodes,
            "student",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", *record_shape])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", n_classes])],
            self._constants,
        )
        return helper.make_model(
            graph,
            producer_name="fedpate",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )

    def preprocessed(self, preprocessing: Preprocessing) -> str:
        """The records as `Preprocessing.apply` makes them."""
        value = INPUT
        if preprocessing.median is not None:
            missing = self.node("IsNaN", value)
            median = self.constant(preprocessing.median, np.float32)
            filled = self.node("Where", missing, median, value)
            flags = self.node("Cast", missing, to=TensorProto.FLOAT)
            value = self.node("Concat", filled, flags, axis=1)
        if preprocessing.mean.any():
            value = self.node("Sub", value, self.constant(preprocessing.mean, np.float32))
        return self.node("Div", value, self.constant(preprocessing.scale, np.float32))

    def network(self, member: TorchTeacher, records: str) -> str:
        """(n, n_classes) probabilities of one network, float64."""
        params = {
            name: self.constant(values.numpy(), np.float32)
            for name, values in member.params.items()
        }
        names = list(params)
        pairs = list(zip(names[::2], names[1::2], strict=True))
        value, blocks = records, member.net.blocks
        for block, (weight, bias) in zip(blocks, pairs, strict=False):
            value = self.node(
                "Conv",
                value,
                params[weight],
                params[bias],
                kernel_shape=[block.kernel] * 2,
                strides=[block.stride] * 2,
                pads=[block.padding] * 4,
            )
            value = self.node(
                "MaxPool", value, kernel_shape=[block.pool] * 2, strides=[block.pool] * 2
            )
            value = self.node("Relu", value)
        value = self.node("Flatten", value, axis=1)
        for place, (weight, bias) in enumerate(pairs[len(blocks) :]):
            if place:
                value = self.node("Relu", value)
            value = self.node("Gemm", value, params[weight], params[bias], transB=1)
        return self.node("Softmax", self.double(value), axis=1)
