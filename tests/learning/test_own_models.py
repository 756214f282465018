"""What a hospital brings itself: programs and ONNX models."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from fedpate.errors import ConfigError, DataError
from fedpate.learning.onnx_teachers import OnnxTeacher
from fedpate.learning.own_models import Models, onnx_teachers
from fedpate.learning.store import TeacherStore
from fedpate.learning.teachers import Command, Onnx, train_teachers
from fedpate.learning.voting import count_votes
from learning_cases import DIGITS, UNTOUCHED, digit_shards, digits, table
from programs import linear_onnx, program

WEIGHTS = np.eye(5, 3)  # the class is the largest of the first three features


def commanded(body: str | None = None, *, tmp_path, timeout_s: float = 60.0, n: int = 30):
    (teacher,) = train_teachers(Command(timeout_s), [table(n)], UNTOUCHED, [2**70])
    path = tmp_path / "program"
    return teacher.by(program(path) if body is None else program(path, body))


def test_a_program_trains_and_votes_without_being_stored(tmp_path):
    (shard,) = digit_shards([300])
    store = TeacherStore(tmp_path / "teachers")
    train_teachers(Command(), [shard], DIGITS, [2**70], store=store)
    (entry,) = store.list()
    assert entry.kind == "command"
    (again,) = train_teachers(Command(), [shard], DIGITS, [2**70], store=store)
    assert again.program is None
    with pytest.raises(DataError, match=r"models\.command must name the program"):
        again.votes(shard.features)
    teacher = again.by(program(tmp_path / "nearest"))
    votes = teacher.votes(digits().features[600:700])
    assert (votes == digits().labels[600:700]).mean() > 0.8
    assert np.array_equal(teacher.probabilities(digits().features[600:700]).argmax(axis=1), votes)


def test_a_program_sees_a_seed_and_may_give_probabilities(tmp_path):
    body = (
        "c = task['n_classes']\n"
        "rng = np.random.default_rng(task['seed'])\n"
        "np.save(folder / 'probabilities.npy', rng.dirichlet(np.ones(c), len(query)))\n"
        "np.save(folder / 'votes.npy', rng.integers(0, c, len(query)))\n"
    )
    teacher = commanded(body, tmp_path=tmp_path)
    asked = table(9).features
    shares = teacher.probabilities(asked)
    assert np.allclose(shares.sum(axis=1), 1)
    assert len(np.unique(shares)) > 9
    assert np.array_equal(shares, teacher.probabilities(asked))
    assert set(teacher.votes(asked)) <= {0, 1, 2}


def test_a_program_gets_all_queries_of_a_message_in_one_call(tmp_path):
    calls = tmp_path / "calls"
    body = (
        f"open({str(calls)!r}, 'a').write(f'{{len(query)}} ')\n"
        "np.save(folder / 'votes.npy', np.zeros(len(query), np.int64))\n"
    )
    teacher = commanded(body, tmp_path=tmp_path)
    assert count_votes([teacher], np.zeros((5000, 5), np.float32), 3)[:, 0].sum() == 5000
    assert calls.read_text() == "5000 "


FAULTS = {
    "raise SystemExit('names of patients')": "must exit with 0, got 1",
    "pass": "must leave votes.npy in its folder",
    "np.save(folder / 'votes.npy', np.zeros(3))": "must hold 9 whole numbers, got float64",
    "np.save(folder / 'votes.npy', np.full(9, 3))": r"must hold classes in \[0, 3\)",
    "np.save(folder / 'votes.npy', np.array([{}] * 9), allow_pickle=True)": "npy format",
    "import time; time.sleep(60)": "must end within teacher.timeout_s=3",
}


@pytest.mark.parametrize("body", FAULTS, ids=lambda body: FAULTS[body])
def test_a_program_that_fails_is_refused_and_its_words_stay_in_the_log(body, tmp_path, caplog):
    timeout_s = 3.0 if "sleep" in body else 60.0
    teacher = commanded(body + "\n", tmp_path=tmp_path, timeout_s=timeout_s)
    with caplog.at_level(logging.WARNING), pytest.raises(DataError, match=FAULTS[body]) as error:
        teacher.votes(table(9).features)
    assert "patients" not in str(error.value)
    assert error.value.__cause__ is None or "patients" not in str(error.value.__cause__)
    assert ("names of patients" in caplog.text) == ("patients" in body)


def test_probabilities_off_the_simplex_are_refused(tmp_path):
    body = "np.save(folder / 'probabilities.npy', np.full((9, 3), 0.5))\n"
    with pytest.raises(DataError, match="rows that are >= 0 and sum to 1"):
        commanded(body, tmp_path=tmp_path).probabilities(table(9).features)


@pytest.mark.parametrize("output", ["scores", "shares", "classes"])
@pytest.mark.parametrize("batch", ["n", 4])
def test_an_onnx_model_votes(output, batch, tmp_path):
    (tmp_path / "m.onnx").write_bytes(linear_onnx(WEIGHTS, batch, output))
    (teacher,) = onnx_teachers(Models(onnx=str(tmp_path / "m.onnx")).onnx_files(), 3, at_most=5)
    test = table(601)
    right = test.features[:, :3].argmax(axis=1)
    assert np.array_equal(teacher.votes(test.features), right)
    assert teacher.votes(test.features[:0]).shape == (0,)
    if output == "scores":
        with pytest.raises(DataError, match="end it with a Softmax"):
            teacher.probabilities(test.features)
        return
    powers = np.exp(test.features[:, :3].astype(np.float64))
    softmax = powers / powers.sum(axis=1, keepdims=True)
    expected = np.eye(3)[right] if output == "classes" else softmax
    shares = teacher.probabilities(test.features)
    assert np.allclose(shares, expected, atol=1e-6)
    assert np.allclose(shares.sum(axis=1), 1, rtol=0, atol=1e-12)
    assert teacher.probabilities(test.features[:0]).shape == (0, 3)


def test_a_stored_onnx_model_is_the_same(tmp_path):
    store = TeacherStore(tmp_path)
    store.put("k" * 64, OnnxTeacher(linear_onnx(WEIGHTS), 3))
    again = store.get("k" * 64)
    assert isinstance(again, OnnxTeacher)
    assert np.array_equal(again.votes(table(9).features), table(9).features[:, :3].argmax(1))
    assert [entry.kind for entry in store.list()] == ["onnx"]


def test_what_is_no_model_that_can_vote_is_refused():
    with pytest.raises(DataError, match="must be a whole ONNX model"):
        OnnxTeacher(b"not a model", 3)
    with pytest.raises(DataError, match="must give 4 scores, or one class, for each record"):
        OnnxTeacher(linear_onnx(WEIGHTS), 4).votes(table(9).features)
    with pytest.raises(DataError, match=r"must give classes in \[0, 2\)"):
        OnnxTeacher(linear_onnx(np.eye(5, 3)[:, [2, 1, 0]], output="classes"), 2).votes(
            table(99).features
        )
    with pytest.raises(DataError, match="must give finite scores"):
        OnnxTeacher(linear_onnx(WEIGHTS), 3).votes(np.full((2, 5), np.nan, np.float32))
    with pytest.raises(ConfigError, match="cannot be trained here"):
        train_teachers(Onnx(), [table(9)], UNTOUCHED, [1])


def test_paths_are_checked_by_name(tmp_path):
    text = tmp_path / "program"
    text.write_text("x")
    for models, kind, message in [
        (Models(), "command", "teacher=command needs models.command, the program to call"),
        (Models(command=str(text)), "command", "models.command must be an executable file"),
        (Models(), "onnx", "teacher=onnx needs models.onnx"),
        (Models(onnx=str(tmp_path)), "onnx", "models.onnx must be an ONNX file or a folder"),
    ]:
        with pytest.raises(ConfigError, match=message):
            models.require(kind)
    Models().require("mlp")


def test_a_folder_is_one_teacher_per_file_up_to_the_number_asked_for(tmp_path):
    for name in ("b", "a"):
        (tmp_path / f"{name}.onnx").write_bytes(linear_onnx(WEIGHTS))
    files = Models(onnx=str(tmp_path)).onnx_files()
    assert [file.name for file in files] == ["a.onnx", "b.onnx"]
    assert len(onnx_teachers(files, 3, at_most=2)) == 2
    with pytest.raises(ConfigError, match="at most teachers_per_hospital=1 models, got 2"):
        onnx_teachers(files, 3, at_most=1)


def test_another_program_is_another_fingerprint(tmp_path):
    models = Models(command=str(program(tmp_path / "one")))
    before = models.fingerprint("command")
    assert models.fingerprint("mlp") == ""
    program(tmp_path / "one", "pass\n")
    assert models.fingerprint("command") != before


def test_the_program_shown_in_the_documentation_votes(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "howto" / "model.md").read_text(encoding="utf-8")
    shown = page.partition("```python\n")[2].partition("```")[0]
    first, _, rest = shown.partition("\n")
    assert first == "#!/usr/bin/env python3"
    path = tmp_path / "program"
    path.write_text(f"#!{sys.executable}\n{rest}")
    path.chmod(0o700)
    shard, test = table(200, seed=1), table(100, seed=2)
    (teacher,) = train_teachers(Command(), [shard], UNTOUCHED, [1])
    votes = teacher.by(path).votes(test.features)
    assert (votes == test.labels).mean() > 0.7
