"""Every kind of student as one ONNX model, or the reason why there is none."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto

from fedpate.learning.fitted_student import (
    ClassifierStudent,
    ConstantStudent,
    FittedStudent,
    NetStudent,
)
from fedpate.learning.onnx_graph import INPUT, Graph


class NoGraph(Exception):  # noqa: N818 - an answer, not a failure
    """There is no ONNX model of this student; the message says why."""


def build(student: FittedStudent, record_shape: Sequence[int]) -> ModelProto:
    """The student as a model of raw records, without metadata.

    Args:
      student: any.
      record_shape: of one record, as the data set has it.

    Raises:
      NoGraph: a student that is not written in ONNX here.
    """
    graph = Graph()
    match student:
        case ConstantStudent():
            result = _constant(graph, student)
        case NetStudent():
            result = _networks(graph, student, record_shape)
        case ClassifierStudent():
            result = _classifier(graph, student)
        case _:
            raise NoGraph(f"a {type(student).__name__} has no ONNX form")
    return graph.model(result, record_shape, student.n_classes)


def _constant(graph: Graph, student: ConstantStudent) -> str:
    """The same row for every record."""
    row = student.predict(np.zeros((1, 1), np.float32))
    shape = graph.node("Shape", INPUT, start=0, end=1)
    shape = graph.node("Concat", shape, graph.constant([student.n_classes], np.int64), axis=0)
    return graph.node("Expand", graph.constant(row, np.float64), shape)


def _networks(graph: Graph, student: NetStudent, record_shape: Sequence[int]) -> str:
    """Mean of the members' probabilities."""
    first = student.members[0]
    records = graph.preprocessed(first.preprocessing)
    if tuple(record_shape) != first.net.input_shape and first.net.blocks:
        shape = graph.constant([-1, *first.net.input_shape], np.int64)
        records = graph.node("Reshape", records, shape)
    tables = [graph.network(member, records) for member in student.members]
    total = graph.node("Sum", *tables)  # Mean exists for float32 only
    return graph.node("Div", total, graph.constant(len(tables), np.float64))


def _classifier(graph: Graph, student: ClassifierStudent) -> str:
    """A scikit-learn classifier whose formula is short, widened to all classes."""
    fitted = student.classifier
    records = graph.preprocessed(fitted.preprocessing)
    rows = graph.double(graph.node("Flatten", records, axis=1))
    match student.model:
        case "logistic_regression":
            table = _logistic_regression(graph, fitted.model, rows)
        case "gaussian_nb":
            table = _naive_bayes(graph, fitted.model, rows)
        case model:
            raise NoGraph(
                f"student.model={model} has no ONNX form here, "
                "logistic_regression and gaussian_nb have"
            )
    seen = np.eye(student.n_classes)[fitted.model.classes_]  # (classes seen, n_classes)
    return graph.node("MatMul", table, graph.constant(seen, np.float64))


def _logistic_regression(graph: Graph, classifier: Any, rows: str) -> str:
    """(n, classes seen) probabilities, float64."""
    weights, bias = classifier.coef_, classifier.intercept_
    if len(weights) == 1:  # two classes: the logit of the second, that of the first is 0
        weights, bias = np.vstack([0 * weights, weights]), np.append(0, bias)
    product = graph.node("MatMul", rows, graph.constant(weights.T, np.float64))
    return graph.node(
        "Softmax", graph.node("Add", product, graph.constant(bias, np.float64)), axis=1
    )


def _naive_bayes(graph: Graph, classifier: Any, rows: str) -> str:
    """(n, classes seen) probabilities, float64."""
    variance, mean = classifier.var_, classifier.theta_  # (classes seen, features)
    offset = np.log(classifier.class_prior_) - 0.5 * np.log(2 * np.pi * variance).sum(axis=1)
    each = graph.node("Unsqueeze", rows, graph.constant([1], np.int64))
    gap = graph.node("Sub", each, graph.constant(mean, np.float64))
    square = graph.node("Mul", gap, gap)
    term = graph.node("Mul", square, graph.constant(-0.5 / variance, np.float64))
    total = graph.node("ReduceSum", term, graph.constant([2], np.int64), keepdims=0)
    return graph.node(
        "Softmax", graph.node("Add", total, graph.constant(offset, np.float64)), axis=1
    )
