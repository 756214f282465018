"""What a run's numbers mean, in words: shared by the terminal and the page.

Everything is read from summary.json. Epsilon never appears without its unit and delta.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedpate.report import text

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Accuracy:
    """One bar of the comparison."""

    name: str
    accuracy: float | None
    note: str
    key: str  # of the number in summary.json
    ours: bool = False  # the run's own result, not a baseline


def mechanism(settings: Mapping[str, Any]) -> str:
    """`gnmax at noise scale 10`, or the name alone."""
    if settings["name"] == "none":
        return "no noise"
    if settings.get("noise_scale") is None:
        return str(settings["name"])
    return f"{settings['name']} at noise scale {text.scale(settings['noise_scale'])}"


def title(summary: Summary) -> str:
    """`digits: 10 hospitals x 5 teachers, gnmax at noise scale 10`."""
    federation = summary["federation"]
    return (
        f"{summary['data']['name']}: {federation['hospitals']} hospitals x "
        f"{federation['teachers_per_hospital']} teachers, {mechanism(summary['mechanism'])}"
    )


def accuracies(summary: Summary) -> list[Accuracy]:
    """The run's results, then the baselines that apply to it."""
    labels, student, baselines = summary["labels"], summary["student"], summary["baselines"]
    answered = f"{labels['answered']} of {labels['asked']} queries answered"
    rows = [
        Accuracy("released labels", labels["accuracy"], answered, "labels.accuracy", ours=True),
        Accuracy(
            "student",
            student["accuracy"],
            f"balanced {text.percent(student['balanced_accuracy'])}"
            + ("" if student["auc"] is None else f", AUC {student['auc']:.3f}"),
            "student.accuracy",
            ours=True,
        ),
    ]
    if labels.get("accuracy_without_noise") is not None:
        clean, key = labels["accuracy_without_noise"], "labels.accuracy_without_noise"
        note = "what the released labels would have been"
        rows.insert(1, Accuracy("labels without noise", clean, note, key))
    notes = {
        "vote_without_noise": ("teachers' vote", "without noise, on the test records"),
        "pooled": ("pooled training", "all records in one place"),
        "fedavg": ("federated averaging", "no privacy guarantee"),
        "fedavg_dpsgd": ("federated averaging, DP-SGD", "at the same epsilon per patient"),
        "fedkt": ("two-level voting", "FedKT-style, at the same epsilon per patient"),
        "best_hospital": ("best hospital alone", "trained on its own records"),
        "mean_hospital": ("mean hospital alone", "trained on its own records"),
        "majority_class": ("majority class", "always the same answer"),
    }
    rows += [
        Accuracy(name, baselines[key], note, f"baselines.{key}")
        for key, (name, note) in notes.items()
        if baselines.get(key) is not None
    ]
    return rows


def one_line(summary: Summary) -> str:
    """Accuracy and price of one point of a sweep."""
    privacy = summary["privacy"]
    prices = ", ".join(
        f"{unit} epsilon {text.epsilon(privacy[unit]['guaranteed'])}"
        for unit in ("patient", "hospital")
    )
    line = (
        f"labels {text.percent(summary['labels']['accuracy'])}, "
        f"student {text.percent(summary['student']['accuracy'])}, "
        f"{prices} (delta {privacy['delta']:g})"
    )
    return f"{line}; {stop}" if (stop := warning(summary)) else line


def relation(privacy: Mapping[str, Any]) -> str:
    """At which delta and under which neighbouring relation, and what smaller means."""
    how = privacy["relation"].replace("_", "-")
    return f"delta {privacy['delta']:g}, {how}; smaller epsilon = more private"


def two_prices(privacy: Mapping[str, Any]) -> str:
    """Why a patient's price is what it is, with private teachers; empty without them."""
    routes = privacy["patient"].get("routes")
    if routes is None:
        return ""
    votes, teachers = routes["votes"], routes["dpsgd_teachers"]
    smaller = "its teacher's own training" if teachers < votes else "the noise on the votes"
    return (
        f"a patient has two prices: {text.epsilon(votes)} by the noise on the votes, "
        f"{text.epsilon(teachers)} by the DP-SGD training of its teacher; the smaller counts, "
        f"that of {smaller}"
    )


def warning(summary: Summary) -> str:
    """What voids the guarantee; empty if nothing does."""
    if summary["mechanism"]["name"] == "none" and not two_prices(summary["privacy"]):
        return "no noise was added: no privacy, epsilon is infinite"
    if not summary["mechanism"]["guarantee"]:
        return "seeded noise: no guarantee (noise_seed is for research only)"
    return ""


def three_sentences(summary: Summary) -> list[str]:
    """What was done, what came out, what it says about a patient: for a physician."""
    federation, labels, student = summary["federation"], summary["labels"], summary["student"]
    simulated = "" if summary["data"]["train_records"] is None else "simulated "
    models = (
        "one model"
        if federation["teachers_per_hospital"] == 1
        else (f"{federation['teachers_per_hospital']} models, no patient in two of them,")
    )
    done = (
        f"{federation['hospitals']} {simulated}hospitals each trained {models} on their own "
        "patients; no record and no model left a hospital, only the models' votes on "
        f"{labels['asked']} public records did."
    )
    noise = "" if summary["mechanism"]["name"] == "none" else ", after random noise was added,"
    out = f"The most voted class{noise} became the label of {labels['answered']} of these records"
    if labels["accuracy"] is not None:
        out += f" ({text.percent(labels['accuracy'])} of the labels are right)"
    if not labels["answered"]:
        out += "; a new model had nothing to learn from"
    else:
        out += "; a new model, trained on these labels alone"
    if labels["answered"] and student["accuracy"] is not None:
        out += f", is right on {text.percent(student['accuracy'])} of records it has never seen"
    return [done, f"{out}.", _promise(summary)]


def _promise(summary: Summary) -> str:
    if stop := warning(summary):
        return f"Nothing is promised to any patient: {stop}."
    privacy = summary["privacy"]
    patient = privacy["patient"]["guaranteed"]
    return (
        f"Any conclusion drawn from the labels is at most {text.factor(patient)} times as likely "
        "as it would be had any one patient's records been different ones (epsilon "
        f"{text.epsilon(patient)} per patient and "
        f"{text.epsilon(privacy['hospital']['guaranteed'])} per hospital, at delta "
        f"{privacy['delta']:g}; smaller is more private)."
    )


def assumptions(summary: Summary) -> list[str]:
    """What the guarantee rests on."""
    local = summary["federation"]["trust"] == "local"
    trusted = (
        "Each hospital adds its own noise before it answers; the coordinator need not be trusted."
        if local
        else "The coordinator sees the votes, adds the noise and keeps its ledger: it is trusted."
    )
    noise = (
        "The noise comes from the operating system, not from the seed of the models."
        if summary["mechanism"]["guarantee"]
        else "The noise is not of the kind that a guarantee needs."
    )
    return [
        trusted,
        "All records of one patient are in one shard, so a patient moves one teacher's vote.",
        "The public records and the test records share no patient with the hospitals' records.",
        noise,
        *_private_teachers(summary),
        "Every query is charged before its label exists, also one that stays unanswered.",
    ]


def _private_teachers(summary: Summary) -> list[str]:
    if not (prices := two_prices(summary["privacy"])):
        return []
    return [
        f"{prices[0].upper()}{prices[1:]}.",
        "Such teachers use one record of each patient and are trained once; how many patients a "
        "shard has is taken as public.",
    ]


def units(summary: Summary) -> list[tuple[str, str]]:
    """(unit, what changes between two neighbouring federations)."""
    k = summary["federation"]["teachers_per_hospital"]
    votes = "the vote of its one teacher" if k == 1 else f"the votes of its {k} teachers"
    return [
        ("patient", "all records of one patient; they move one teacher's vote"),
        ("hospital", f"all patients of one hospital; they move {votes}"),
    ]


def what_left(summary: Summary, votes: str = "labels") -> list[str]:
    """All that a hospital sends; `votes` is the run's setting."""
    local = summary["federation"]["trust"] == "local"
    noise = ", with the hospital's own noise" if local else ""
    sent = text.size(summary["bytes"]["from_hospitals"])
    what = "how many of its models chose that class"
    if votes != "labels":
        what = "the sum of its models' probabilities of that class"
    return [
        f"for each public record and class, {what}{noise}: {sent} from all hospitals together",
        "its name and how many models it has",
        "a code if something went wrong, never the message",
    ]


def who_saw_what(summary: Summary) -> list[tuple[str, str, str]]:
    """(who, saw, did not see), by trust setting."""
    local = summary["federation"]["trust"] == "local"
    votes = "each hospital's noisy votes" if local else "the votes of each hospital's teachers"
    hidden = "a record, a model, a vote without noise" if local else "a record, a model"
    return [
        (
            "each hospital",
            "its own records and models; the public records",
            "other hospitals' votes",
        ),
        ("the coordinator", f"{votes}, the released labels", hidden),
        ("the student and everybody else", "the released labels, the student", "a vote"),
    ]
