"""Points composed in a short cut are what Hydra itself composes."""

from itertools import chain

import pytest
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from fedpate import config
from fedpate.commands._composing import Composer


@pytest.fixture(scope="module")
def loader_and_config():
    config.register()
    hydra = Hydra.create_main_hydra2("fedpate", create_config_search_path(str(config.CONF)))
    cfg = hydra.compose_config("config", ["hydra.sweep.dir=s"], RunMode.MULTIRUN)
    yield hydra.config_loader, cfg
    GlobalHydra.instance().clear()


def whole(cfg):
    """Everything that is in it, with what is declared but never set."""
    return OmegaConf.to_container(cfg), OmegaConf.to_yaml(cfg)


PARTS = [
    st.sampled_from([[], ["mechanism=gnmax"], ["mechanism=laplace"], ["mechanism=confident"]]),
    st.sampled_from([[], ["data=digits"], ["experiment=mnist_250"], ["experiment=adult_50"]]),
    st.sampled_from([[], ["student=fixmatch", "student.steps=7"], ["student.members=3"]]),
    st.sampled_from([[], ["hydra.job.chdir=false"], ["~tracking"], ["+data.more=1"]]),
    st.sampled_from([[], ["seed=1"], ["seed=2", "privacy.target_epsilon=0.5"]]),
    st.sampled_from([[], ["queries=7", "hospital_overrides={0: sklearn}"], ["store=a/b"]]),
]


@given(st.lists(st.tuples(*PARTS).map(lambda parts: list(chain(*parts))), min_size=1, max_size=4))
@settings(max_examples=12, deadline=None)
def test_every_point_is_what_hydra_composes(loader_and_config, points):
    loader, cfg = loader_and_config
    compose = Composer(loader, cfg)
    for point in points:
        try:
            expected = loader.load_sweep_config(cfg, point)
        except HydraException as error:
            with pytest.raises(type(error)):
                compose(point)
        else:
            assert whole(compose(point)) == whole(expected)


def test_a_point_may_be_changed_without_changing_the_next(loader_and_config):
    compose = Composer(*loader_and_config)
    first = compose(["seed=1"])
    first.seed = 3
    first.privacy.delta = 0.5
    assert compose(["seed=2"]).privacy.delta == 1e-5
    choices = compose(["mechanism=laplace", "seed=2"]).hydra.runtime.choices
    assert choices.mechanism == "laplace"


def test_a_value_that_is_refused_is_refused_by_hydra(loader_and_config):
    compose = Composer(*loader_and_config)
    for wrong in (["seed=x"], ["sead=1"], ["mechanism=lapace"], ["mechanism.noise_scale=[1]"]):
        with pytest.raises(HydraException):
            compose(wrong)
