"""Gradients of a stack's loss: by autograd in general, by hand for networks of dense layers only.

By hand is a fifth faster: every intermediate has its place in memory from the first step to the
last, where autograd asks for new memory each time. Both give the gradient of the sum over models
and records of weight x cross-entropy, in the padded shape of `fedpate.learning.stacked`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from fedpate.learning.nets import Net
from fedpate.learning.stacked import Stack, logits, shaped

# (records (models, width, ...), labels (models * width,), weights (models * width,)) -> gradients
# of the first `models` models.
Gradients = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Sequence[torch.Tensor]]


def gradients_of(net: Net, parameters: Stack, width: int, precision: str = "float32") -> Gradients:
    """How to differentiate this stack, at the values that its parameters have when asked.

    Args:
      net: the architecture.
      parameters: from `stacked.stack`; changed in place between two calls.
      width: places in each model's batch.
      precision: of products and convolutions; bfloat16 goes through autograd, which knows how.
    """
    if net.blocks or precision != "float32":
        return _by_autograd(net, parameters, precision)
    return _Dense(net, parameters, width)


def mixed(device: torch.device, precision: str) -> torch.autocast:
    """Inside, products and convolutions are in this precision; float32 changes nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def _by_autograd(net: Net, parameters: Stack, precision: str) -> Gradients:
    def gradients(
        records: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
    ) -> Sequence[torch.Tensor]:
        leaves = [values[: len(records)].detach().requires_grad_() for values in parameters]
        with mixed(records.device, precision):
            answers = logits(net, leaves, records).flatten(0, 1).float()
        losses = functional.cross_entropy(answers, labels, reduction="none")
        return torch.autograd.grad((losses * weights).sum(), leaves)

    return gradients


class _Dense:
    """Backpropagation through dense layers with a ReLU between them, in fixed memory."""

    def __init__(self, net: Net, parameters: Stack, width: int) -> None:
        self._net, self._parameters = net, parameters
        self._gradients = [torch.zeros_like(values) for values in parameters]
        models = len(parameters[0])
        self._outputs = [parameters[0].new_empty(models, width, n) for n in net.widths[1:]]
        self._errors = [torch.empty_like(values) for values in self._outputs]
        self._places = torch.arange(models * width, device=parameters[0].device)
        self._views = self._of_first(models)

    def _of_first(self, models: int) -> "_Views":
        """Everything in the shapes and the number that a step works with."""
        parameters, gradients = (
            [values[:models] for values in group] for group in (self._parameters, self._gradients)
        )
        values, places = shaped(self._net, parameters), shaped(self._net, gradients)
        return _Views(
            models,
            gradients,
            list(zip(values[::2], (bias[:, None] for bias in values[1::2]), strict=True)),
            list(zip(places[::2], places[1::2], strict=True)),
            [values[:models] for values in self._outputs],
            [values[:models] for values in self._errors],
            self._places[: models * self._outputs[0].shape[1]],
        )

    def __call__(
        self, records: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
    ) -> Sequence[torch.Tensor]:
        if len(records) != self._views.models:
            self._views = self._of_first(len(records))
        views = self._views
        with torch.no_grad():
            inputs = [records.flatten(2)]
            for (weight, bias), output in zip(views.layers, views.outputs, strict=True):
                if len(inputs) > 1:
                    inputs[-1].relu_()
                inputs.append(torch.baddbmm(bias, inputs[-1], weight, out=output))
            error = views.errors[-1]
            torch.softmax(inputs.pop(), 2, out=error)
            flat = error.flatten(0, 1)  # of the logits: weight x (probability - 1 at the label)
            flat[views.places, labels] -= 1
            flat *= weights[:, None]
            for index in reversed(range(len(views.layers))):
                by_weight, by_bias = views.by_layer[index]
                torch.bmm(inputs[index].transpose(1, 2), error, out=by_weight)
                torch.sum(error, 1, out=by_bias)
                if index:
                    earlier, weight = views.errors[index - 1], views.layers[index][0]
                    torch.bmm(error, weight.transpose(1, 2), out=earlier)
                    error = earlier.mul_(inputs[index] > 0)
        return views.gradients


@dataclass(frozen=True, eq=False)
class _Views:
    """A stack's first models: views are made once, not in every step."""

    models: int
    gradients: list[torch.Tensor]  # (models, padded size), one for each parameter
    layers: list[tuple[torch.Tensor, torch.Tensor]]  # weight (models, inputs, outputs), bias
    by_layer: list[tuple[torch.Tensor, torch.Tensor]]  # gradients in the same shapes
    outputs: list[torch.Tensor]  # (models, width, outputs) of each layer
    errors: list[torch.Tensor]  # gradients of `outputs`
    places: torch.Tensor  # (models * width,): 0, 1, 2, ...
