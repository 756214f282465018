"""The registry, and the sets that ship with scikit-learn against their published numbers."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from fedpate.data.dataset import Source
from fedpate.data.sklearn_sources import BreastCancer, Digits
from fedpate.data.sources import SOURCES, load_cached
from fedpate.errors import ConfigError


def test_the_registry_is_closed_and_its_classes_are_settings():
    assert list(SOURCES) == [
        "breast_cancer",
        "digits",
        "mnist",
        "fashion_mnist",
        "bloodmnist",
        "breastmnist",
        "dermamnist",
        "octmnist",
        "organamnist",
        "organcmnist",
        "organsmnist",
        "pathmnist",
        "pneumoniamnist",
        "retinamnist",
        "tissuemnist",
        "heart_disease",
        "eicu",
        "adult",
        "csv",
        "image_folder",
    ]
    for name, source in SOURCES.items():
        assert source.name == name
        assert source.__dataclass_params__.frozen
        required = [
            field.name
            for field in dataclasses.fields(source)
            if field.default is dataclasses.MISSING
        ]
        settings = dict.fromkeys(required, "x") | ({"label": "y"} if name == "csv" else {})
        made = source(**settings)
        assert isinstance(made, Source)
        assert made == source(**settings)
        assert hash(made) == hash(source(**settings))


def test_breast_cancer():
    data = BreastCancer().load()
    assert data.features.shape == (569, 30)
    assert (data.features.dtype, data.kind) == (np.float32, "tabular")
    assert dict(zip(data.class_names, np.bincount(data.labels), strict=True)) == {
        "malignant": 212,
        "benign": 357,
    }
    assert len(np.unique(data.patients)) == 569


def test_digits():
    data = Digits().load()
    assert (data.features.shape, data.features.dtype) == ((1797, 1, 8, 8), np.uint8)
    assert data.features.reshape(1797, 64).sum() == 561718
    assert (data.features.max(), data.full_scale, data.kind) == (16, 16.0, "image")
    assert np.bincount(data.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_a_process_loads_a_set_once():
    assert load_cached(BreastCancer()) is load_cached(BreastCancer())
    assert load_cached(BreastCancer()) is not load_cached(BreastCancer(pool_fraction=0.3))


@pytest.mark.parametrize("source", [BreastCancer, Digits])
def test_fractions_are_checked_when_the_settings_are_made(source):
    with pytest.raises(ConfigError, match=r"data\.pool_fraction"):
        source(pool_fraction=1.5)


def test_naming_the_sources_imports_nothing_heavy():
    heavy = ("torch", "torchvision", "sklearn", "pandas", "pyarrow", "PIL")
    code = f"import sys, fedpate.data.sources; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"
