"""Train the teachers of all simulated hospitals at once: many small models as one batched model."""

from collections.abc import Sequence

from flwr.app import RecordDict

from fedpate.data.preprocessing import Preprocessing
from fedpate.federation import progress, site, wire
from fedpate.federation.private_teachers import is_private, training_name
from fedpate.federation.settings import TrainSettings
from fedpate.learning.teachers import Onnx, teacher_seed, train_teachers


def train_together(requests: Sequence[tuple[int, str, RecordDict]]) -> None:
    """Fill the store with the teachers that the `train.teachers` requests ask for.

    Args:
      requests: (partition id, action, request) of messages that are being sent together.
    """
    asked = [
        (partition, content) for partition, action, content in requests if action == wire.TRAIN
    ]
    if not asked:
        return
    alike: dict[str, list[int]] = {}  # settings -> partitions that are told them
    for partition, content in asked:
        text, arrays = wire.read_train_request(content)
        alike.setdefault(text, []).append(partition)
    for text, partitions in alike.items():
        _train(TrainSettings.from_json(text), Preprocessing.from_arrays(arrays), partitions)


def _train(
    settings: TrainSettings, preprocessing: Preprocessing, partitions: Sequence[int]
) -> None:
    simulation = settings.simulation
    assert simulation is not None
    if settings.teacher.name == Onnx.name or is_private(settings.teacher):
        return  # nothing to train, or to be trained once and by the hospital itself
    data = site.simulated_data(settings, simulation)
    shards, seeds = [], []
    for partition in partitions:
        for index, shard in enumerate(data.shards(partition)):
            shards.append(shard)
            seeds.append(teacher_seed(settings.seed, site.simulated_name(partition), index))
    display, store = progress.current(), site.simulated_store(simulation)
    # Other points of a sweep wait, whatever their run folders and mechanisms are.
    with store.alone(training_name(settings, preprocessing)):
        train_teachers(
            settings.teacher,
            shards,
            preprocessing,
            seeds,
            device=settings.device,
            store=store,
            progress=lambda n: display.advance("teachers", n),
        )
