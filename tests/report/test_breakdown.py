from fedpate.report import breakdown
from summaries import details


def test_recall_and_precision_of_each_class():
    zero, one = breakdown.class_rows(details())
    assert (zero.records, zero.found, zero.right) == (3, 2 / 3, 1.0)
    assert (one.records, one.found, one.right) == (4, 1.0, 4 / 5)
    assert (zero.released, zero.released_right, zero.unanswered) == (2, 0.5, 1)
    assert (one.released, one.released_right, one.unanswered) == (3, 1.0, 0)


def test_a_class_without_records_or_answers_has_no_share():
    counts = details() | {"student": {"confusion": [[0, 0], [0, 4]]}}
    zero, _ = breakdown.class_rows(counts)
    assert (zero.records, zero.found, zero.right) == (0, None, None)


def test_without_a_student_the_labels_are_still_there():
    rows = breakdown.class_rows(details() | {"student": None})
    assert [row.released for row in rows] == [2, 3]
    assert breakdown.matrix(details() | {"student": None}) is None


def test_classes_without_names_are_numbered():
    assert breakdown.class_names(details() | {"class_names": None}) == ["0", "1"]
    nothing = {"class_names": None, "student": None, "labels": None}
    assert breakdown.class_names(details() | nothing) == []


def test_the_matrix_shares_are_of_the_true_class():
    first, second = breakdown.matrix(details())
    assert first == [(2, 2 / 3), (1, 1 / 3)]
    assert second == [(0, 0.0), (4, 1.0)]


def test_hospitals():
    rows = breakdown.hospital_rows(details())
    assert [(row.name, row.records, row.held) for row in rows] == [
        ("hospital-0", 30, 1),
        ("hospital-1", 40, 2),
        ("hospital-2", 50, 2),
    ]
    assert rows[1].shares == [0.25, 0.75]
    assert [row.dropped for row in rows] == [False, False, True]
    assert breakdown.hospital_rows(details() | {"hospitals": None}) == []


def test_too_many_hospitals_leave_the_largest():
    many = details()
    many["hospitals"] = [
        {**many["hospitals"][0], "name": str(n), "classes": [n, 0]} for n in range(100)
    ]
    rows = breakdown.hospital_rows(many)
    assert [row.name for row in rows] == [str(n) for n in range(99, 99 - breakdown.MOST_ROWS, -1)]
