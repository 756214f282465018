"""A user's own CSV or Parquet file: what is read, and every refusal in one line without a cell."""

import gzip
import traceback

import numpy as np
import pandas as pd
import pytest

from fedpate.data.tables import MOST_CATEGORIES, Csv
from fedpate.errors import ConfigError, DataError, FedPateError

CANARY = "Q7canaryZ"  # stands in cells; a message that holds it has leaked one

GOOD = """age,sex,smoker,outcome,person,site
60,f,True,yes,p1,north
61,m,False,no,p2,south
62,f,True,no,p1,north
63,m,True,yes,p3,south
"""


@pytest.fixture
def write(tmp_path):
    def to_file(text, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return to_file


def test_a_file_with_patients_and_hospitals(write):
    data = Csv(write(GOOD), "outcome", patient="person", hospital="site").load()
    assert data.features.tolist() == [[60, 1, 0, 1], [61, 0, 1, 0], [62, 1, 0, 1], [63, 0, 1, 1]]
    assert data.features.dtype == np.float32
    assert (data.labels.tolist(), data.class_names) == ([1, 0, 0, 1], ("no", "yes"))
    assert data.patients.tolist() == [0, 1, 0, 2]
    assert (data.hospitals.tolist(), data.hospital_names) == ([0, 1, 0, 1], ("north", "south"))
    assert (data.kind, data.missing_allowed, data.fixed_split) == ("tabular", False, None)


def test_small_hospitals_are_pooled_or_dropped_and_without_hospitals_nothing_is(write):
    path, roles = write(GOOD), {"label": "outcome", "patient": "person"}
    data = Csv(path, **roles, hospital="site", fewest_patients=2, small_hospitals="drop").load()
    assert (data.hospital_names, len(data)) == (("south",), 2)
    data = Csv(path, **roles, hospital="site", fewest_patients=3).load()
    assert (data.hospital_names, len(data)) == (("north + south",), 4)
    assert len(Csv(path, **roles, fewest_patients=99).load()) == 4
    with pytest.raises(ConfigError, match=r"data\.fewest_patients must be at most 3, the pat"):
        Csv(path, **roles, hospital="site", fewest_patients=4).load()


def test_without_a_patient_column_every_row_is_a_patient(write):
    text = GOOD.replace(",person,site", "")
    text = "\n".join(line.rsplit(",", 2)[0] if "p" in line else line for line in text.split("\n"))
    data = Csv(write(text), "outcome").load()
    assert data.patients.tolist() == [0, 1, 2, 3]
    assert (data.hospitals, data.hospital_names) == (None, ())


def test_parquet_and_compressed_and_spaced_files_hold_the_same(write, tmp_path):
    settings = {"label": "outcome", "patient": "person", "hospital": "site"}
    plain = Csv(write(GOOD), **settings).load()
    frame = pd.read_csv(write(GOOD))
    frame.to_parquet(tmp_path / "table.PARQUET")
    frame.astype({"sex": "category", "age": "Int64", "smoker": "boolean"}).to_parquet(
        tmp_path / "nullable.pq"
    )
    others = [
        str(tmp_path / "table.PARQUET"),
        str(tmp_path / "nullable.pq"),
        write(gzip.compress(GOOD.encode()), "table.csv.gz"),
        write(GOOD.replace(",", ", "), "spaced.csv"),
        write(b"\xef\xbb\xbf" + GOOD.encode(), "excel.csv"),
    ]
    for path in others:
        data = Csv(path, **settings).load()
        np.testing.assert_array_equal(data.features, plain.features)
        np.testing.assert_array_equal(data.labels, plain.labels)
        np.testing.assert_array_equal(data.patients, plain.patients)
        np.testing.assert_array_equal(data.hospitals, plain.hospitals)


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["10", "9", "10"], ("9", "10")),
        (["1.0", "0.0", "1.0"], ("0", "1")),
        (["True", "False", "True"], ("False", "True")),
        (["b", "a", "b"], ("a", "b")),
    ],
)
def test_classes_are_sorted_as_what_they_are(write, cells, names):
    data = Csv(write("x,y\n" + "".join(f"1,{cell}\n" for cell in cells)), "y").load()
    assert data.class_names == names
    assert data.labels.tolist() == [1, 0, 1]


def rows(n, line):
    return "".join(line.format(i=i) for i in range(n))


BAD_FILES = {
    "no such column": (
        f"age,sex,target\n1,2,{CANARY}\n",
        {},
        r"data\.label=y is no column of .*; it has age, sex, target",
    ),
    "no such patient column": (
        f"x,y\n1,{CANARY}\n2,b\n",
        {"patient": "who"},
        r"data\.patient=who is no column of .*; it has x, y",
    ),
    "missing feature": (
        f"x,z,y\n,{CANARY},a\n2,b,b\n,b,b\n",
        {},
        r"features must not be missing, some of 3 records are in x \(2\)",
    ),
    "missing text": (f"x,y\n{CANARY},a\n,b\n", {}, r"some of 2 records are in x \(1\)"),
    "short row": (f"x,z,y\n1,{CANARY}\n2,3,b\n", {}, r"data\.label=y must have a value .* 1 of 2"),
    "long row": (f"x,y\n1,a\n2,b,{CANARY}\n", {}, r"cannot be read as CSV in UTF-8 \(Parser"),
    "every row long": (f"x,y\n1,a,{CANARY}\n2,b,c\n", {}, r"cannot be read as CSV .*\(ParserW"),
    "open quote": (f'x,y\n1,"{CANARY}\n2,b\n', {}, r"cannot be read as CSV in UTF-8 \(Parser"),
    "one class": (f"x,y\n1,{CANARY}\n2,{CANARY}\n", {}, r"data\.label=y must have 2 to 1000 .* 1$"),
    "missing label": (f"x,y\n1,{CANARY}\n2,\n3,b\n", {}, r"label=y must have a value in .* 1 of 3"),
    "no label at all": ("x,y\n1,\n2,\n", {}, r"data\.label=y must have a value .* 2 of 2"),
    "continuous label": ("x,y\n1,7.25\n2,8\n", {}, r"data\.label=y must hold classes: text, whole"),
    "infinite label": ("x,y\n1,inf\n2,8\n", {}, r"data\.label=y must hold classes"),
    "too many classes": (
        "x,y\n" + rows(1001, "1," + CANARY + "{i}\n"),
        {},
        r"data\.label=y must have 2 to 1000 classes, found 1001",
    ),
    "too many whole classes": ("x,y\n" + rows(1001, "1,{i}\n"), {}, "classes, found 1001"),
    "free text": (
        "notes,y\n" + rows(MOST_CATEGORIES + 1, CANARY + "{i},{i}\n"),
        {},
        r"feature notes must be numbers, or text with at most 32 distinct values, it has 33",
    ),
    "infinite feature": ("x,y\n1e400,a\n1,b\n", {}, r"feature x must be finite in float32, 1 of 2"),
    "beyond float32": ("x,y\n1e300,a\n1,b\n", {}, r"feature x must be finite in float32, 1 of 2"),
    "missing patient": (
        f"x,y,who\n1,a,\n2,b,{CANARY}\n",
        {"patient": "who"},
        r"data\.patient=who must have a value in every record, 1 of 2 are missing",
    ),
    "missing hospital": (
        f"x,y,site\n1,a,\n2,b,{CANARY}\n",
        {"hospital": "site"},
        r"data\.hospital=site must have a value in every record, 1 of 2 are missing",
    ),
    "empty file": ("", {}, "must hold records, it is empty"),
    "blank file": ("\n\n  \n", {}, r"must hold records|data\.path"),
    "header only": ("x,y\n", {}, "must hold records, it has a header only"),
    "no header": (
        f"63.0,{CANARY},1950-02-03\n67.0,m,1961-07-08\n",
        {},
        "must begin with a line of column names, 2 of 3 look like values",
    ),
    "duplicate columns": ("x,x,y\n1,2,a\n3,4,b\n", {}, "distinct column names, several are x"),
    "unnamed column": (",x,y\n0,1,a\n1,2,b\n", {}, "must name every column, 1 of 3 have no name"),
    "label only": (f"y\n{CANARY}\nb\n", {}, "must have a feature column besides"),
    "another encoding": (f"x,y\n1,{CANARY}\xe9\n2,b\n".encode("latin-1"), {}, r"\(UnicodeDecode"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\xff\xfe" * 5, {}, "cannot be read as"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_one_line_that_quotes_no_cell(write, case):
    text, settings, message = BAD_FILES[case]
    with pytest.raises(DataError, match=message) as caught:
        Csv(write(text), "y", **settings).load()
    assert "\n" not in str(caught.value)
    # Logs may hold the traceback: what pandas said must not be in it either.
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.to_datetime(["2024-01-31", "2024-02-01"]), "feature x must be .*, it is datetime64"),
        ([b"\x00", b"\x01"], "feature x must be numbers, booleans or text, it is object"),
        ([[1, 2], [3]], "feature x must be numbers, booleans or text, it is object"),
    ],
)
def test_a_parquet_column_of_another_type_is_refused_by_name(tmp_path, column, message):
    path = tmp_path / "table.parquet"
    pd.DataFrame({"x": column, "y": ["a", "b"]}).to_parquet(path)
    with pytest.raises(DataError, match=message):
        Csv(str(path), "y").load()
    with pytest.raises(DataError, match=r"data\.label=x must hold classes"):
        Csv(str(path), "x").load()


def test_files_that_are_none(tmp_path, write):
    with pytest.raises(DataError, match=r"data\.path=.*nowhere\.csv must be a file"):
        Csv(str(tmp_path / "nowhere.csv"), "y").load()
    with pytest.raises(DataError, match="must be a file, it is a folder or not there"):
        Csv(str(tmp_path), "y").load()
    with pytest.raises(DataError, match="must be a file"):
        Csv("x" * 5000, "y").load()  # asking the system for such a name fails
    with pytest.raises(DataError, match=r"cannot be read as Parquet \(ArrowInvalid\)"):
        Csv(write(GOOD, "table.parquet"), "outcome").load()


def test_names_of_columns_are_listed_within_reason(write):
    header = ",".join([f"column{i}" for i in range(60)] + ["n" * 300])
    with pytest.raises(DataError, match="and 41 more") as caught:
        Csv(write(f"{header}\n"), "y").load()
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": ""}, r"data\.path must be a name, got ''"),
        ({"path": 3}, r"data\.path must be a name, got 3"),
        ({"label": None}, r"data\.label must be a name, got None"),
        ({"patient": ""}, r"data\.patient must be a name, got ''"),
        ({"patient": "y"}, r"data\.label must be a column of its own, got 'y' for another one too"),
        ({"pool_fraction": 0}, r"data\.pool_fraction must be in \(0, 1\), got 0"),
    ],
)
def test_settings_are_checked_before_anything_is_read(settings, message):
    with pytest.raises(ConfigError, match=message):
        Csv(**({"path": "a.csv", "label": "y"} | settings))


def test_every_refusal_ends_the_command_line_with_2():
    with pytest.raises(FedPateError) as caught:
        Csv("nowhere.csv", "y").load()
    assert caught.value.exit_code == 2
