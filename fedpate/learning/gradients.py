"""Gradients of a stack's loss: by autograd in general, by hand for networks of dense layers only.

By hand is a fifth faster: every intermediate has its place in memory from the first step to the
last, where autograd asks for new memory each time. Both give the gradient of the sum over models
and records of weight x cross-entropy, in the padded shape of `fedpate.learning.stacked`.
"""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from fedpate.learning.nets import Net
from fedpate.learning.stacked import Stack, logits, shaped

# (records (models, width, ...), labels (models * width,), weights (models * width,)) -> gradients
# of the first `models` models.
Gradients = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Sequence[torch.Tensor]]


def gradients_of(net: Net, parameters: Stack, width: int) -> Gradients:
    """How to differentiate this stack, at the values that its parameters have when asked.

    Args:
      net: the architecture.
      parameters: from `stacked.stack`; changed in place between two calls.
      width: places in each model's batch.
    """
    if net.blocks:
        return _by_autograd(net, parameters)
    return _Dense(net, parameters, width)


def _by_autograd(net: Net, parameters: Stack) -> Gradients:
    def gradients(
        records: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
    ) -> Sequence[torch.Tensor]:
        leaves = [values[: len(records)].detach().requires_grad_() for values in parameters]
        answers = logits(net, leaves, records).flatten(0, 1)
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

    def __call__(
        self, records: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
    ) -> Sequence[torch.Tensor]:
        models = len(records)
        values = shaped(self._net, [p[:models] for p in self._parameters])
        gradients = [g[:models] for g in self._gradients]
        places = shaped(self._net, gradients)
        layers = list(zip(values[::2], values[1::2], places[::2], places[1::2], strict=True))
        with torch.no_grad():
            inputs = [records.flatten(2)]
            for (weight, bias, _, _), output in zip(layers, self._outputs, strict=True):
                if len(inputs) > 1:
                    inputs[-1].relu_()
                out = output[:models]
                inputs.append(torch.baddbmm(bias[:, None], inputs[-1], weight, out=out))
            error = self._errors[-1][:models]
            torch.softmax(inputs.pop(), 2, out=error)
            flat = error.flatten(0, 1)  # of the logits: weight x (probability - 1 at the label)
            flat[torch.arange(len(labels), device=labels.device), labels] -= 1
            flat *= weights[:, None]
            for index in reversed(range(len(layers))):
                weight, _, by_weight, by_bias = layers[index]
                torch.bmm(inputs[index].transpose(1, 2), error, out=by_weight)
                torch.sum(error, 1, out=by_bias)
                if index:
                    earlier = self._errors[index - 1][:models]
                    torch.bmm(error, weight.transpose(1, 2), out=earlier)
                    error = earlier.mul_(inputs[index] > 0)
        return gradients
