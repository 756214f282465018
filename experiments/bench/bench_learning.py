"""How fast teachers train: vectorized stacks against three loops, as ratios in one run.

    OMP_NUM_THREADS=2 python experiments/bench/bench_learning.py [--threads 1 2] [--device cuda]

Every way trains the same default networks (`teacher=mlp`, `teacher=cnn`; nothing is augmented) by
AdamW on 240 records per teacher (random 28 x 28 images: the arithmetic does not look at them) in
batches of 32; the stacks train 250 teachers. The ways take turns; each one's fastest turn counts,
so that what else the machine does weighs on all alike. CPU seconds on one thread, wall seconds on
several (the machine must be idle then) and on a GPU. Prints Markdown.

  tutorial    torchvision transforms of PIL images in a DataLoader, torch.optim.AdamW
  dataloader  a DataLoader over tensors, torch.optim.AdamW
  loop        slices of tensors, torch.optim.AdamW(fused=True)
  stack       fedpate.learning.ensemble
"""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from fedpate.learning import parallel, torch_teachers
from fedpate.learning.ensemble import Member, train_stack
from fedpate.learning.nets import Net, Params, initial_params
from fedpate.learning.schedule import Training, make_schedule
from fedpate.learning.teachers import Cnn, Mlp
from fedpate.rng import stream

SHAPE, CLASSES, RECORDS, BATCH = (1, 28, 28), 10, 240, 32
NETS = {"mlp": Mlp().net(SHAPE, CLASSES), "cnn": Cnn().net(SHAPE, CLASSES)}
EPOCHS = {"mlp": Mlp().epochs, "cnn": 10}  # of 100, which would only take longer

Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]
Way = tuple[int, Callable[[], None]]  # (number of teachers, trains them)


class Images(Dataset[tuple[torch.Tensor, int]]):
    """Pixels that become a PIL image and are transformed one by one, as in torchvision.datasets."""

    def __init__(self, pixels: torch.Tensor, labels: torch.Tensor) -> None:
        from torchvision import transforms

        self.pixels, self.labels = (pixels[:, 0] * 255).to(torch.uint8), labels
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        image = Image.fromarray(self.pixels[index].numpy())
        return self.transform(image), int(self.labels[index])


def clock(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    return time.process_time() if device == "cpu" and parallel.cores() == 1 else time.perf_counter()


def training_of(name: str) -> Training:
    return Training(EPOCHS[name], 1, 10**6, BATCH, 0.003, 0.01)


def members(net: Net, n: int, training: Training) -> list[Member]:
    found = []
    for index in range(n):
        rng = stream(0, "bench", index)
        found.append(
            Member(
                initial_params(net, rng),
                torch.from_numpy(rng.random((RECORDS, *SHAPE), np.float32)),
                torch.from_numpy(rng.integers(0, CLASSES, RECORDS)),
                make_schedule(RECORDS, training, rng, images=bool(net.blocks)),
            )
        )
    return found


def slices(one: Member, device: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    features, labels = one.features.to(device), one.labels.to(device)
    for rows in torch.from_numpy(one.schedule.rows).to(device):
        chosen = rows[rows >= 0]
        yield features[chosen], labels[chosen]


def epochs_of(data: Dataset[tuple[torch.Tensor, int]], epochs: int) -> Batches:
    loader = DataLoader(data, BATCH, shuffle=True)
    for _ in range(epochs):
        yield from loader


def train_by_hand(net: Net, one: Member, batches: Batches, device: str, *, fused: bool) -> None:
    module = net.module()
    module.load_state_dict({k: v.clone() for k, v in one.weights.items()}, assign=True)
    module.requires_grad_().to(device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.003, fused=fused)
    for records, labels in batches:
        optimizer.zero_grad()
        functional.cross_entropy(module(records.to(device)), labels.to(device)).backward()
        optimizer.step()


def train_stacks(
    net: Net, some: list[Member], training: Training, device: str = "cpu"
) -> list[Params]:
    """All of them, in stacks of the size that fedpate chooses, as many at a time as cores."""
    cuts = torch_teachers.cut_into_stacks(net, training, [RECORDS] * len(some), device)

    def train(stack: list[int], stopped: parallel.Stopped) -> list[Params]:
        return train_stack(net, [some[index] for index in stack], training, device, stopped)

    return [params for stack in parallel.run_all(train, cuts) for params in stack]


def ways(net: Net, training: Training, n_loop: int, n_stack: int, device: str) -> dict[str, Way]:
    """Every way to train."""
    some, epochs = members(net, n_stack, training), training.epochs

    def by_hand(batches: Callable[[Member], Batches], *, fused: bool) -> Way:
        def train() -> None:
            for one in some[:n_loop]:
                train_by_hand(net, one, batches(one), device, fused=fused)

        return n_loop, train

    return {
        "tutorial": by_hand(lambda m: epochs_of(Images(m.features, m.labels), epochs), fused=False),
        "dataloader": by_hand(
            lambda m: epochs_of(TensorDataset(m.features, m.labels), epochs),  # type: ignore[arg-type]
            fused=False,
        ),
        "loop": by_hand(lambda m: slices(m, device), fused=True),
        "stack": (n_stack, lambda: train_stacks(net, some, training, device) and None),
    }


def fastest(runs: dict[str, Way], turns: int, device: str) -> dict[str, float]:
    """Seconds per teacher of each way's fastest turn; the first turn only warms up."""
    best = dict.fromkeys(runs, float("inf"))
    for turn in range(turns + 1):
        for name, (n, train) in runs.items():
            start = clock(device)
            train()
            if turn:
                best[name] = min(best[name], (clock(device) - start) / n)
    return best


def sgemm_rate(device: str) -> float:
    """Floating-point operations per second of a large float32 matrix product."""
    a, b = torch.rand(1024, 1024, device=device), torch.rand(1024, 1024, device=device)
    rates = []
    for _ in range(5):
        start = clock(device)
        for _ in range(5):
            a @ b
        rates.append(5 * 2 * 1024**3 / (clock(device) - start))
    return max(rates)


def operations(net: Net, n_records: int) -> int:
    """Multiplications and additions of one forward and backward pass, the products only."""
    total, first = 0, True
    _, rows, columns = net.image_shape
    sizes = []
    for block in net.blocks:
        places = block.convolved(rows) * block.convolved(columns)
        sizes.append(places * block.outputs * block.inputs * block.kernel**2)
        rows, columns = block.side(rows), block.side(columns)
    sizes += [a * b for a, b in zip(net.widths[:-1], net.widths[1:], strict=True)]
    for size in sizes:  # forward, gradient of the weights, gradient of the inputs (not the first's)
        total += 2 * size * (2 if first else 3)
        first = False
    return total * n_records


def table_of_ratios(threads: int, quick: bool, device: str) -> None:
    torch.set_num_threads(threads)
    for name, net in NETS.items():
        training = training_of(name)
        n_loop, n_stack = (1, 25) if quick else (3, 250)
        best = fastest(ways(net, training, n_loop, n_stack, device), 1 if quick else 3, device)
        best["limit: a large sgemm"] = (
            operations(net, RECORDS) / sgemm_rate(device) * training.epochs
        )
        for way, seconds in best.items():
            print(
                f"| {name} | {threads} | {way} | {1e3 * seconds / training.epochs:.2f} "
                f"| {seconds / best['stack']:.2f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer teachers and turns")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    print("| net | threads | way | ms per teacher and epoch | times the stack |")
    print("|---|---:|---|---:|---:|")
    for threads in arguments.threads if arguments.device == "cpu" else (1,):
        table_of_ratios(threads, arguments.quick, arguments.device)


if __name__ == "__main__":
    main()
