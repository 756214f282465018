"""AdamW, without `torch.optim`: its constructors import torch._dynamo, a second and 150 MB."""

from collections.abc import Sequence

import torch

BETA1, EPSILON = 0.9, 1e-8
BETA2 = 0.99  # a memory of 100 steps: semi-supervised losses change while they are learned


class AdamW:
    """torch's fused kernel on the parameters of one network, in place."""

    def __init__(self, parameters: Sequence[torch.Tensor], weight_decay: float) -> None:
        self._parameters = [values.detach() for values in parameters]
        self._means = [torch.zeros_like(values) for values in self._parameters]
        self._squares = [torch.zeros_like(values) for values in self._parameters]
        self._counts = [torch.zeros((), device=values.device) for values in self._parameters]
        self._weight_decay = weight_decay

    def step(self, gradients: Sequence[torch.Tensor], rate: float) -> None:
        """Move the parameters against their gradients."""
        torch._foreach_add_(self._counts, 1)
        torch._fused_adamw_(
            self._parameters,
            [
                torch.empty_like(own).copy_(new)  # the kernel wants one memory order for all
                for own, new in zip(self._parameters, gradients, strict=True)
            ],
            self._means,
            self._squares,
            [],
            self._counts,
            lr=rate,
            beta1=BETA1,
            beta2=BETA2,
            weight_decay=self._weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
