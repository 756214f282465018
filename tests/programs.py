"""What a hospital brings itself, for tests: programs that vote, and ONNX models."""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NEAREST = """
nearest = ((query[:, None] - train[None]) ** 2).sum(axis=2).argmin(axis=1)
np.save(folder / "votes.npy", labels[nearest])
"""


def program(path: Path, body: str = NEAREST) -> Path:
    """An executable that reads its folder and goes on with `body`; one nearest neighbour."""
    path.write_text(
        f"#!{sys.executable}\n"
        "import json, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "folder = Path(sys.argv[1])\n"
        'with np.load(folder / "train.npz") as data:\n'
        '    train, labels = data["features"], data["labels"]\n'
        'with np.load(folder / "query.npz") as data:\n'
        '    query = data["features"]\n'
        'task = json.loads((folder / "task.json").read_text())\n'
        "train, query = (part.reshape(len(part), -1) for part in (train, query))\n" + body
    )
    path.chmod(0o700)
    return path


def linear_onnx(weights: np.ndarray, batch: int | str = "n", output: str = "scores") -> bytes:
    """(d, c) weights as a model: records times weights, or the class of the largest product."""
    d, c = weights.shape
    nodes = [helper.make_node("MatMul", ["x", "w"], ["scores"])]
    shape: list[int | str] = [batch, c]
    kind = TensorProto.FLOAT
    if output == "classes":
        nodes.append(helper.make_node("ArgMax", ["scores"], [output], axis=1, keepdims=0))
        shape, kind = [batch], TensorProto.INT64
    elif output == "shares":
        nodes.append(helper.make_node("Softmax", ["scores"], [output], axis=1))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, d])],
        [helper.make_tensor_value_info(output, kind, shape)],
        [numpy_helper.from_array(weights.astype(np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
