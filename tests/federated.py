"""Small real federations for tests: a complete `Run` in under a second."""

from pathlib import Path

from fedpate.data.partition import PARTITIONS
from fedpate.data.sources import SOURCES
from fedpate.federation.settings import Run
from fedpate.learning.students import STUDENTS
from fedpate.learning.teachers import TEACHERS
from fedpate.privacy.mechanisms import MECHANISMS


def small_run(store: Path, **changes) -> Run:
    """Four hospitals with two teachers each on breast cancer records; twenty queries."""
    settings = {
        "data": SOURCES["breast_cancer"](),
        "partition": PARTITIONS["iid"](),
        "teacher": TEACHERS["sklearn"](model="gaussian_nb"),
        "mechanism": MECHANISMS["gnmax"](noise_scale=2.0),
        "student": STUDENTS["sklearn"](model="gaussian_nb"),
        "hospitals": 4,
        "teachers_per_hospital": 2,
        "queries": 20,
        "noise_seed": 1,
        "store": str(store),
        "baselines": False,
    }
    return Run(**{**settings, **changes})
