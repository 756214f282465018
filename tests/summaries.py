"""A summary.json of schema 1, for tests of what reads one."""

import copy
from typing import Any

_SUMMARY: dict[str, Any] = {
    "schema": 1,
    "fedpate": "0.1.0",
    "seed": 0,
    "federation": {
        "engine": "inprocess",
        "hospitals": 10,
        "teachers_per_hospital": 5,
        "teachers_present": 50,
        "dropped": [],
        "trust": "coordinator",
        "one_class_teachers": 0,
    },
    "data": {"name": "digits", "classes": 10, "train_records": 1077, "pool": 360, "test": 358},
    "mechanism": {
        "name": "gnmax",
        "noise_scale": 10.0,
        "threshold": None,
        "noise": "os-entropy",
        "guarantee": True,
    },
    "labels": {
        "asked": 100,
        "answered": 97,
        "from_cache": 0,
        "accuracy": 0.931,
        "accuracy_without_noise": 0.958,
    },
    "privacy": {
        "delta": 1e-5,
        "relation": "replace_one",
        "patient": {
            "guaranteed": 7.123,
            "sanitized": 4.2,
            "data_dependent": 3.9,
            "budget": 8.0,
            "bound": "argmax_only",
        },
        "hospital": {
            "guaranteed": 60.001,
            "sanitized": None,
            "data_dependent": None,
            "budget": None,
            "bound": "argmax_only",
        },
    },
    "student": {
        "name": "torch",
        "accuracy": 0.902,
        "balanced_accuracy": 0.897,
        "auc": None,
        "hospital_mean_accuracy": None,
    },
    "baselines": {
        "majority_class": 0.101,
        "mean_hospital": 0.882,
        "best_hospital": 0.913,
        "vote_without_noise": 0.944,
        "pooled": 0.975,
        "pooled_auc": None,
        "fedavg": None,
        "fedavg_dpsgd": None,
        "fedkt": None,
    },
    "timings": {
        "teachers_s": 1.0,
        "votes_s": 0.1,
        "release_s": 0.1,
        "student_s": 0.5,
        "total_s": 1.7,
    },
    "bytes": {
        "to_hospitals": 123_456,
        "from_hospitals": 7_890,
        "per_query_and_hospital": 28.1,
        "least_per_query_and_hospital": 1.36,
    },
}


def summary() -> dict[str, Any]:
    """A fresh copy, to be changed at will."""
    return copy.deepcopy(_SUMMARY)


def details() -> dict[str, Any]:
    """A details.json that belongs to a simulation; a fresh copy."""
    return copy.deepcopy(_DETAILS)


def _event(votes_moved: int, count: int) -> dict[str, Any]:
    piece = {"kind": "noisy_argmax", "noise_scale": 10.0, "votes_moved": votes_moved}
    return {"pieces": [{**piece, "count": count}], "slack": 0.0}


_DETAILS: dict[str, Any] = {
    "schema": 1,
    "releasable": False,
    "finished": "2026-01-31T12:00:00+00:00",
    "versions": {"python": "3.11.7", "fedpate": "0.1.0"},
    "class_names": ["zero", "one"],
    "votes": "labels",
    "ledger": {
        "path": None,
        "head": "ab" * 32,
        "charges": [
            {
                "purpose": f"{count} labels of digits by gnmax",
                "queries": count,
                "events": {"patient": _event(1, count), "hospital": _event(5, count)},
            }
            for count in (40, 60)
        ],
    },
    "student": {"confusion": [[2, 1], [0, 4]]},
    "labels": {"confusion": [[1, 0], [1, 3]], "unanswered": [1, 0]},
    "consensus": [0] * 12 + [1, 0, 2, 0, 3, 0, 5, 9],
    "hospitals": [
        {
            "name": f"hospital-{number}",
            "classes": [10 * number, 30],
            "teachers": 5,
            "dropped": number == 2,
            "accuracy_alone": 0.8,
        }
        for number in range(3)
    ],
}
