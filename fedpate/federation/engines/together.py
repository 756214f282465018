"""Train the teachers of all simulated hospitals at once: many small models as one batched model."""

from collections.abc import Sequence

from flwr.app import RecordDict

from fedpate.data.preprocessing import Preprocessing
from fedpate.federation import progress, site, wire
from fedpate.federation.settings import TrainSettings
from fedpate.learning.teachers import teacher_seed, train_teachers


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
    text, arrays = wire.read_train_request(asked[0][1])
    settings = TrainSettings.from_json(text)
    simulation = settings.simulation
    assert simulation is not None
    data = site.simulated_data(settings, simulation)
    shards, seeds = [], []
    for partition, _ in asked:
        for index, shard in enumerate(data.shards(partition)):
            shards.append(shard)
            seeds.append(teacher_seed(settings.seed, site.simulated_name(partition), index))
    display = progress.current()
    train_teachers(
        settings.teacher,
        shards,
        Preprocessing.from_arrays(arrays),
        seeds,
        device=settings.device,
        store=site.simulated_store(simulation),
        progress=lambda n: display.advance("teachers", n),
    )
