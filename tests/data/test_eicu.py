"""ICU stays of real hospitals: who is one patient, what is missing, what may not be a feature."""

import gzip
import traceback

import numpy as np
import pandas as pd
import pytest

from fedpate.data.eicu import ADMISSION, FILES, PHYSIOLOGY, Eicu
from fedpate.data.federated import federate
from fedpate.data.partition import Natural
from fedpate.errors import ConfigError, DataError

CANARY = "Q7canaryZ"
PATIENT, APS, PRED = FILES


def tables():
    """Eight stays of six patients at three hospitals, as in the real files but for the columns."""
    patient = pd.DataFrame(
        {
            "patientunitstayid": [11, 12, 13, 14, 15, 16, 17, 18],
            "uniquepid": ["a", "a", "b", "c", "c", "c", "d", "e"],
            "hospitalid": [90, 90, 90, 73, 73, 90, 73, 459],
            "hospitaldischargestatus": ["Alive", "Expired", "Alive", "Alive"] * 2,
            "age": ["> 89", "60", "", "50", "51", "52", "70", "80"],
            "gender": ["Male", "Female", "Unknown", "", "Male", "Male", "Male", "Male"],
            "diedinhospital": 1,
        }
    )
    physiology = pd.DataFrame({"patientunitstayid": patient["patientunitstayid"]})
    for index, name in enumerate(PHYSIOLOGY):
        physiology[name] = np.arange(8) + 10 * index
    admission = pd.DataFrame({"patientunitstayid": patient["patientunitstayid"][::-1]})
    for index, name in enumerate(ADMISSION):
        admission[name] = np.arange(8)[::-1] + 1000 * (index + 1)
    return {PATIENT: patient, APS: physiology, PRED: admission}


@pytest.fixture
def write(tmp_path):
    def to_files(frames):
        (tmp_path / "eicu-demo").mkdir(exist_ok=True)
        for file, frame in frames.items():
            frame.to_csv(tmp_path / "eicu-demo" / file, index=False)
        return str(tmp_path)

    return to_files


def refusal(root):
    with pytest.raises(DataError) as caught:
        Eicu(root).load()
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_stays_become_records(write):
    data = Eicu(write(tables())).load()
    # Patient c was at 73 twice and at 90 once: the stay at 90 is left out.
    assert data.patients.tolist() == [0, 0, 1, 2, 2, 3, 4]
    assert data.hospital_names == ("73", "90", "459")
    assert data.hospitals.tolist() == [1, 1, 1, 0, 0, 0, 2]
    assert data.labels.tolist() == [0, 1, 0, 0, 0, 0, 0]
    assert data.class_names == ("alive", "expired")
    assert data.features.shape == (7, len(PHYSIOLOGY) + len(ADMISSION) + 2)
    assert data.features[3, :3].tolist() == [3, 13, 23]
    assert data.features[3, 24:26].tolist() == [1003, 2003]  # joined by stay, not by row
    np.testing.assert_equal(data.features[:, -2], [90, 60, np.nan, 50, 51, 70, 80])
    np.testing.assert_equal(data.features[:, -1], [1, 0, np.nan, np.nan, 1, 1, 1])
    assert data.missing_allowed


def test_minus_one_and_empty_are_not_measured(write):
    frames = tables()
    frames[APS].loc[0, "wbc"] = -1
    frames[APS].loc[1, "wbc"] = None
    data = Eicu(write(frames)).load()
    assert np.isnan(data.features[:, PHYSIOLOGY.index("wbc")]).tolist() == [True] * 2 + [False] * 5


def test_stays_without_apache_data_or_outcome_are_left_out(write):
    frames = tables()
    frames[PATIENT].loc[0, "hospitaldischargestatus"] = ""
    frames[APS] = frames[APS].drop(index=2)
    data = Eicu(write(frames)).load()
    assert data.patients.tolist() == [0, 1, 1, 2, 3]
    frames[PATIENT]["hospitaldischargestatus"] = ""
    assert "must hold stays with APACHE data and an outcome" in refusal(write(frames))


def test_what_tells_the_outcome_or_the_hospital_is_no_feature():
    telling = {"diedinhospital", "dischargelocation", "predictedhospitalmortality", "apachescore"}
    telling |= {"bedcount", "region", "hospitalid", "uniquepid", "patientunitstayid", "wardid"}
    assert not telling & {*PHYSIOLOGY, *ADMISSION}
    assert len({*PHYSIOLOGY, *ADMISSION}) == 42


def test_small_hospitals(write):
    root = write(tables())
    pooled = Eicu(root, fewest_patients=2).load()
    assert pooled.hospital_names == ("73 + 459", "90")
    assert len(pooled) == 7
    dropped = Eicu(root, fewest_patients=2, small_hospitals="drop").load()
    assert dropped.hospital_names == ("73", "90")
    assert len(dropped) == 6


@pytest.mark.parametrize(
    ("file", "column", "value", "message"),
    [
        (PATIENT, "hospitaldischargestatus", CANARY, "hospitaldischargestatus must be Alive or Ex"),
        (PATIENT, "age", CANARY, "data.root: age must be numbers, 1 of 8 are not"),
        (PATIENT, "uniquepid", "", "patient.csv.gz must have no gaps in uniquepid"),
        (PATIENT, "hospitalid", "", "patient.csv.gz must have no gaps in hospitalid"),
        (APS, "wbc", CANARY, "data.root: wbc must be numbers, 1 of 8 are not"),
        (APS, "wbc", "inf", "data.root: wbc must be numbers, 1 of 8 are not"),
        (APS, "patientunitstayid", 12, "must have one row for each stay, 1 rows repeat one"),
        (PRED, "aids", CANARY, "data.root: aids must be numbers, 1 of 8 are not"),
    ],
)
def test_a_cell_that_does_not_fit_is_not_quoted(write, file, column, value, message):
    frames = tables()
    frames[file][column] = frames[file][column].astype(object)
    frames[file].loc[0, column] = value
    assert message in refusal(write(frames))


def test_missing_files_and_columns(write, tmp_path):
    assert "must hold eicu-demo/ with patient.csv.gz, apacheApsVar.csv.gz" in refusal(str(tmp_path))
    frames = tables()
    del frames[APS]["wbc"], frames[APS]["ph"]
    assert "apacheApsVar.csv.gz must have the columns wbc, ph" in refusal(write(frames))
    (tmp_path / "eicu-demo" / PRED).write_bytes(gzip.compress(b"x\n")[:-4] + CANARY.encode())
    write({APS: tables()[APS]})
    assert "apachePredVar.csv.gz cannot be read as CSV" in refusal(str(tmp_path))


@pytest.mark.parametrize("settings", [{"small_hospitals": "x"}, {"fewest_patients": 0}])
def test_settings_are_checked(settings):
    with pytest.raises(ConfigError, match=rf"data\.{next(iter(settings))} must be"):
        Eicu(**settings)


@pytest.mark.data
def test_the_demo_agrees_with_apache_s_own_outcome(data_root):
    data = Eicu(str(data_root)).load()
    assert (data.features.shape, len(np.unique(data.patients))) == ((2161, 44), 1765)
    assert (len(data.hospital_names), np.bincount(data.labels).tolist()) == (186, [1966, 195])
    # An independent table has the outcome of most stays.
    folder = data_root / "eicu-demo"
    patient = pd.read_csv(folder / PATIENT).set_index("patientunitstayid")
    result = pd.read_csv(folder / "apachePatientResult.csv.gz")
    result = result[result["apacheversion"] == "IVa"].set_index("patientunitstayid")
    both = patient.join(result, how="inner")
    both = both[both["hospitaldischargestatus"].notna()]
    assert len(both) == 1838
    same = both["hospitaldischargestatus"].str.upper() == both["actualhospitalmortality"]
    assert same.all()


@pytest.mark.data
def test_every_one_of_186_hospitals_keeps_a_private_patient(data_root):
    source = Eicu(str(data_root))
    for seed in range(8):
        federation = federate(source, Natural(), None, 1, seed)
        assert federation.partition.n_hospitals == 186
        assert (len(federation.split.pool_rows), len(federation.split.test_rows)) > (350, 350)
    pooled = federate(Eicu(str(data_root), fewest_patients=20), Natural(), None, 5, 0)
    assert pooled.partition.n_hospitals == 73


@pytest.mark.data
def test_a_pooled_regression_ranks_as_well_as_the_reference(data_root):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    areas = []
    for seed in range(8):
        federation = federate(Eicu(str(data_root)), Natural(), None, 1, seed)
        fill = federation.preprocessing().apply
        private, test = federation.private(), federation.test()
        model = LogisticRegression(max_iter=200).fit(fill(private.features), private.labels)
        areas.append(roc_auc_score(test.labels, model.predict_proba(fill(test.features))[:, 1]))
    # Reference .816; a leaking column gives 1, hospitals or ages mixed up .7.
    assert np.mean(areas) == pytest.approx(0.816, abs=0.025)
