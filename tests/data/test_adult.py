"""The census: a closed list of categories, the papers' split, and lines that are not quoted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate.data.adult import CLASSES, COLUMNS, Adult
from fedpate.data.federated import federate
from fedpate.data.partition import Iid
from fedpate.errors import DataError

CANARY = "Q7canaryZ"
LINE = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, "
    "2174, 0, 40, United-States, <=50K"
)


def write(folder, private, public):
    (folder / "adult").mkdir(exist_ok=True)
    (folder / "adult" / "adult.data").write_text("\n".join(private) + "\n\n")
    lines = ["|1x3 Cross validator", *(f"{line}." for line in public)]
    (folder / "adult" / "adult.test").write_text("\n".join(lines) + "\n\n")
    return Adult(str(folder))


def test_the_closed_list():
    sizes = [len(values) for values in COLUMNS.values()]
    assert sizes == [0, 8, 0, 16, 0, 7, 14, 6, 5, 2, 0, 0, 0, 41]
    assert sum(max(size, 1) for size in sizes) == 105


def test_lines_become_records_and_the_test_file_is_cut_in_half(tmp_path):
    rich = LINE.replace("<=50K", ">50K").replace("39,", "40,")
    data = write(tmp_path, [LINE, rich], [LINE, rich, LINE]).load()
    assert data.features.shape == (5, 105)
    assert data.features[:, 0].tolist() == [39, 40, 39, 40, 39]
    assert data.labels.tolist() == [0, 1, 0, 1, 0]
    assert (data.class_names, data.hospitals) == (CLASSES, None)
    assert [rows.tolist() for rows in data.fixed_split] == [[2, 3], [4]]
    assert data.patients.tolist() == list(range(5))  # equal lines are different persons
    assert data.features[0].sum() == 39 + 77516 + 13 + 2174 + 40 + 8  # a 1 for each category


def test_unknown_is_no_category_of_its_own(tmp_path):
    unknown = LINE.replace("State-gov", "?").replace("United-States", "?")
    data = write(tmp_path, [LINE, unknown], [LINE.replace("<=", ">")]).load()
    assert data.features[0, 1:9].tolist() == [0, 0, 0, 0, 0, 1, 0, 0]
    assert not data.features[1, 1:9].any()
    assert not data.features[1, -41:].any()


@given(
    st.lists(
        st.tuples(
            *(
                st.sampled_from([*values, "?"]) if values else st.integers(0, 10**6)
                for values in COLUMNS.values()
            ),
            st.sampled_from(CLASSES),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_every_person_that_the_lists_allow_can_be_read_back(tmp_path_factory, people):
    lines = [", ".join(map(str, person)) for person in people]
    both = [LINE, LINE.replace("<=", ">")]
    data = write(tmp_path_factory.mktemp("data"), lines, both).load()
    for row, person in zip(data.features, people, strict=False):
        read, start = [], 0
        for values in COLUMNS.values():
            block = row[start : start + max(len(values), 1)]
            start += len(block)
            read.append(
                int(block[0]) if not values else values[block.argmax()] if block.any() else "?"
            )
            assert not values or block.sum() in (0, 1)
        assert tuple(read) == person[:-1]
    assert [CLASSES[label] for label in data.labels[: len(people)]] == [p[-1] for p in people]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("39,", f"{CANARY},", "age must be a finite number"),
        ("77516", "NaN", "fnlwgt must be a finite number"),
        ("77516", "1e99", "fnlwgt must be a finite number"),
        ("State-gov", CANARY, "workclass must be a value that adult.names lists"),
        ("United-States", "United States", "native-country must be a value that adult.names"),
        ("<=50K", CANARY, "the label must be a value that adult.names lists"),
        (", White", "", "must have 14 columns and a label"),
    ],
)
def test_a_bad_line_is_named_and_not_quoted(tmp_path, old, new, rule):
    bad = LINE.replace(old, new)
    with pytest.raises(DataError) as caught:
        write(tmp_path, [LINE], [LINE, LINE, bad, bad]).load()
    message = str(caught.value)
    assert message.startswith("data.root: line 4 of adult.test")
    assert rule in message
    assert not new or new not in message


def test_missing_empty_and_unreadable_files(tmp_path):
    with pytest.raises(DataError, match=r"must hold adult/ with adult\.data, adult\.test \(UCI"):
        Adult(str(tmp_path)).load()
    source = write(tmp_path, [], [LINE])
    with pytest.raises(DataError, match=r"adult\.data must hold records, it is empty"):
        source.load()
    (tmp_path / "adult" / "adult.data").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"adult\.data cannot be read as text"):
        source.load()


@pytest.mark.data
def test_the_published_numbers(data_root):
    data = Adult(str(data_root)).load()
    assert data.features.shape == (48_842, 105)
    pool, test = data.fixed_split
    assert (len(pool), len(test)) == (8141, 8140)
    # adult.names gives the share of the rich, 23.93 %, and 32,561 training instances.
    assert round(data.labels.mean(), 4) == 0.2393
    assert data.labels[:32561].sum() == 7841
    unknown = [int((~data.features[:, a:b].any(axis=1)).sum()) for a, b in ((1, 9), (64, 105))]
    assert unknown == [1836 + 963, 583 + 274]
    means = data.features[:32561, [0, 9]].mean(axis=0, dtype=np.float64)
    assert means == pytest.approx([38.58, 189_778], rel=1e-3)


@pytest.mark.data
def test_a_pooled_regression_is_as_good_as_the_reference(data_root):
    from sklearn.linear_model import LogisticRegression

    federation = federate(Adult(str(data_root)), Iid(), 50, 5, 0)
    private, test, scale = federation.private(), federation.test(), federation.preprocessing().apply
    model = LogisticRegression(max_iter=100).fit(scale(private.features), private.labels)
    # Reference .846; the majority class gives .760.
    assert model.score(scale(test.features), test.labels) == pytest.approx(0.851, abs=0.006)
