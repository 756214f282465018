"""Why a hospital did not answer: all that leaves it when something is wrong."""

from enum import IntEnum

from fedpate.errors import FedPateError

SCHEMA = 1  # of the wire


class Code(IntEnum):
    """Flower's own codes are below 100."""

    FAILED = 101
    MALFORMED = 102
    SCHEMA = 103
    SETTINGS = 104
    UNTRAINED = 105
    NO_SITE = 106
    BUNDLE = 107
    TRAINED_ONCE = 108
    # The hospital's policy, one code per rule.
    POLICY_SUBMITTER = 120
    POLICY_CLASSES = 121
    POLICY_FEATURES = 122
    POLICY_TRUST = 123
    POLICY_TEACHER_KIND = 124
    POLICY_TEACHERS = 125
    POLICY_PATIENTS = 126
    POLICY_QUERIES_PER_DAY = 127
    POLICY_QUERIES = 128
    POLICY_EPSILON_PATIENT = 129
    POLICY_EPSILON_HOSPITAL = 130
    POLICY_APPROVAL = 131
    POLICY_STATED = 132
    POLICY_EPSILON_QUERY = 133
    POLICY_NEAR_DUPLICATES = 134
    POLICY_VOTES = 135


REASONS = {
    Code.FAILED: "the hospital failed; its own log says why",
    Code.MALFORMED: "the request does not have the records that this action takes",
    Code.SCHEMA: f"the request is not of wire schema {SCHEMA}: use the same version of fedpate",
    Code.SETTINGS: "the hospital does not accept these settings",
    Code.UNTRAINED: "the hospital has no teachers for these settings: send train.teachers first",
    Code.NO_SITE: "the node is neither simulated nor configured as a hospital",
    Code.BUNDLE: "the hospital runs only the thin bundle of the fedpate that it installed",
    Code.TRAINED_ONCE: "private teachers were trained once, and they or their records are no "
    "longer the same: another training is another charge, ask for it with another seed",
    Code.POLICY_SUBMITTER: "the hospital's policy: submitters",
    Code.POLICY_CLASSES: "the hospital's policy: task.classes",
    Code.POLICY_FEATURES: "the hospital's policy: task.features",
    Code.POLICY_TRUST: "the hospital's policy: trust",
    Code.POLICY_TEACHER_KIND: "the hospital's policy: teachers.kinds",
    Code.POLICY_TEACHERS: "the hospital's policy: teachers.at_most",
    Code.POLICY_PATIENTS: "the hospital's policy: teachers.patients_per_teacher",
    Code.POLICY_QUERIES_PER_DAY: "the hospital's policy: queries.per_day",
    Code.POLICY_QUERIES: "the hospital's policy: queries.total",
    Code.POLICY_EPSILON_PATIENT: "the hospital's policy: epsilon.patient",
    Code.POLICY_EPSILON_HOSPITAL: "the hospital's policy: epsilon.hospital",
    Code.POLICY_APPROVAL: "the hospital's policy: approval; a person there has to approve the run",
    Code.POLICY_STATED: "the request is more than the run stated that it would ask",
    Code.POLICY_EPSILON_QUERY: "the hospital's policy: epsilon.query",
    Code.POLICY_NEAR_DUPLICATES: "the hospital's policy: queries.near_duplicates",
    Code.POLICY_VOTES: "the hospital's policy: votes",
}


class Refusal(FedPateError):  # noqa: N818 - a decision, not a fault
    """The hospital refuses a request; only the code leaves."""

    def __init__(self, code: Code) -> None:
        super().__init__(REASONS[code])
        self.code = code
