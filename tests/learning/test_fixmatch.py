import numpy as np
import pytest
import torch

from fedpate.learning.fixmatch import Alignment, smoothed
from fedpate.learning.students import FixMatchStudent, TorchStudent
from fedpate.learning.views import ImageView, RowView
from fedpate.records import QueryBatch, Release
from fedpate.rng import stream
from learning_cases import DIGITS, digits

SMALL = FixMatchStudent(
    members=1, channels=(16, 32), steps=250, batch_size=32, learning_rate=0.01, max_cover=0.3
)


def noisy_case(n: int = 80, share: float = 0.1) -> tuple[QueryBatch, Release]:
    """1,000 digits, of which `n` have a label; `share` of the labels is wrong."""
    rng, data = stream(5, "noisy labels"), digits()
    rows, labels = rng.permutation(1000)[:n], data.labels.copy()
    wrong = rows[: round(share * n)]
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, len(wrong))) % 10
    return QueryBatch(np.arange(1000), data.features[:1000]), Release(rows, labels[rows])


def test_the_pool_makes_a_better_student_than_the_labels_alone():
    queries, labels = noisy_case()
    asked, truth = digits().features[1000:], digits().labels[1000:]
    supervised = TorchStudent(members=1)
    semi, alone = (
        student.fit(queries, labels, 10, DIGITS, seed=0).predict(asked).argmax(axis=1)
        for student in (SMALL, supervised)
    )
    assert (semi == truth).mean() > (alone == truth).mean() + 0.03


@pytest.mark.parametrize(
    "view",
    [
        ImageView(max_shift=0.1, max_turn=10, max_contrast=0.3, max_cover=0.5),
        RowView(noise=0.2, swapped=0.3),
    ],
    ids=["image", "row"],
)
def test_a_view_changes_every_record_and_repeats_with_its_generator(view):
    shape = (6, 1, 12, 10) if isinstance(view, ImageView) else (6, 12)
    records = torch.from_numpy(stream(0).random(shape, dtype=np.float32) + 0.5)
    first, again, other = (view.of(records, stream(seed)) for seed in (1, 1, 2))
    assert first.shape == records.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first != records).flatten(1).any(dim=1).all()


def test_a_view_of_nothing_is_the_record():
    images = torch.from_numpy(stream(0).random((3, 2, 8, 8), dtype=np.float32))
    assert torch.allclose(ImageView().of(images, stream(1)), images, atol=1e-6)
    assert torch.equal(RowView().of(images[:, 0, 0], stream(1)), images[:, 0, 0])


def test_a_cover_is_a_square_of_zeros_no_larger_than_allowed():
    seen = ImageView(max_cover=0.5).of(torch.ones(200, 1, 16, 16), stream(3))
    covered = (seen < 0.5).flatten(1).sum(dim=1)
    assert 40 < covered.max() <= 64


def test_alignment_favours_the_class_that_the_guide_neglects():
    labels = torch.tensor([0] * 50 + [1] * 50)
    opinion = torch.tensor([[0.9, 0.1]]).expand(64, 2)
    aligned, untouched = Alignment(labels, 2, 1.0), Alignment(labels, 2, 0.0)
    for _ in range(200):
        corrected = aligned(opinion)
    assert torch.allclose(corrected.sum(dim=1), torch.ones(64))
    assert torch.allclose(corrected, torch.full((64, 2), 0.5), atol=0.05)
    assert torch.allclose(untouched(opinion), opinion)


def test_smoothing_spreads_mass_over_all_classes():
    targets = smoothed(torch.tensor([1]), 4, 0.2)
    assert torch.allclose(targets, torch.tensor([[0.05, 0.85, 0.05, 0.05]]))
