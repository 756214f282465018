"""eICU Collaborative Research Database, demo 2.0.1: will an ICU patient leave the hospital alive?

`data.root` holds `eicu-demo/` with patient.csv.gz, apacheApsVar.csv.gz and apachePredVar.csv.gz as
PhysioNet ships them (Pollard et al. 2018; ODbL 1.0; nobody may try to identify anyone). The full
database has the same files.

One record is one ICU stay that has APACHE variables and a known outcome: 2,179 stays of 1,765
patients at 186 real hospitals. The label is the status at discharge from the hospital. Features are
what APACHE IVa takes from the first day, its chronic conditions and admission facts, age ("> 89" is
90) and sex; -1 or an empty cell is "not measured". Columns that tell the outcome (diedinhospital,
dischargelocation, APACHE's own predictions) or the hospital (bedcount, region) are not features.

Stays of a patient are one patient's. Of the patients who were at several hospitals (18), only the
stays at one of them are taken: where most are, or at the one with the lowest number.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from fedpate.data.dataset import Dataset, codes
from fedpate.data.files import is_file, listed, read_table
from fedpate.data.hospitals import at_one_hospital, check_rule, without_small
from fedpate.data.splits import check_fractions
from fedpate.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

KEY = "patientunitstayid"
PATIENT = (KEY, "uniquepid", "hospitalid", "hospitaldischargestatus", "age", "gender")
PHYSIOLOGY = (
    "intubated",
    "vent",
    "dialysis",
    "eyes",
    "motor",
    "verbal",
    "meds",
    "urine",
    "wbc",
    "temperature",
    "respiratoryrate",
    "sodium",
    "heartrate",
    "meanbp",
    "ph",
    "hematocrit",
    "creatinine",
    "albumin",
    "pao2",
    "pco2",
    "bun",
    "glucose",
    "bilirubin",
    "fio2",
)
ADMISSION = (
    "aids",
    "hepaticfailure",
    "lymphoma",
    "metastaticcancer",
    "leukemia",
    "immunosuppression",
    "cirrhosis",
    "diabetes",
    "electivesurgery",
    "activetx",
    "readmit",
    "ima",
    "midur",
    "ventday1",
    "oobventday1",
    "oobintubday1",
    "thrombolytics",
    "visitnumber",
)
FILES = {
    "patient.csv.gz": PATIENT,
    "apacheApsVar.csv.gz": (KEY, *PHYSIOLOGY),
    "apachePredVar.csv.gz": (KEY, *ADMISSION),
}
OUTCOMES = ("Alive", "Expired")
OLDEST = "> 89"


@dataclass(frozen=True)
class Eicu:
    """Up to 186 real hospitals with 1 to 10 patients each; 44 features, alive or expired."""

    name: ClassVar[str] = "eicu"
    root: str = "data"
    small_hospitals: str = "pool"
    fewest_patients: int = 1
    pool_fraction: float = 0.2
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        check_rule(self.small_hospitals, self.fewest_patients)
        check_fractions(self.pool_fraction, self.test_fraction)

    def load(self) -> Dataset:
        """Stays in the order of the patient table; NaN stands for "not measured"."""
        folder = Path(self.root).expanduser() / "eicu-demo"
        missing = [file for file in FILES if not is_file(folder / file)]
        if missing:
            raise DataError(
                f"data.root={self.root} must hold eicu-demo/ with {', '.join(missing)} "
                "(eICU Collaborative Research Database)"
            )
        patient, physiology, admission = (
            _table(folder / file, file, columns) for file, columns in FILES.items()
        )
        stays = patient.merge(physiology, on=KEY).merge(admission, on=KEY)
        outcome = _outcomes(stays)
        known = outcome.notna().to_numpy()
        stays, outcome = stays[known], outcome[known]
        if stays.empty:
            raise DataError("data.root: eicu-demo/ must hold stays with APACHE data and an outcome")
        hospitals, names = codes(stays["hospitalid"].to_numpy())
        dataset = Dataset(
            name=self.name,
            features=_features(stays),
            labels=(outcome == OUTCOMES[1]).to_numpy().astype(np.int64),
            class_names=("alive", "expired"),
            patients=codes(stays["uniquepid"].astype(str).to_numpy(dtype=np.str_))[0],
            hospitals=hospitals,
            hospital_names=names,
            missing_allowed=True,
            columns=(*PHYSIOLOGY, *ADMISSION, "age", "male"),
        )
        return without_small(
            at_one_hospital(dataset),
            rule=self.small_hospitals,
            fewest_patients=self.fewest_patients,
        )


def _table(path: Path, file: str, columns: tuple[str, ...]) -> "pd.DataFrame":
    """The named columns of one file, which has one row for each stay."""
    setting = f"data.root: {file}"
    frame = read_table(path, setting)
    absent = [column for column in columns if column not in frame.columns]
    if absent:
        raise DataError(f"{setting} must have the columns {listed(absent)}")
    frame = frame[list(columns)]
    gaps = frame[[KEY, *(name for name in PATIENT[1:3] if name in columns)]].isna().any()
    if gaps.any():
        raise DataError(f"{setting} must have no gaps in {listed(list(gaps[gaps].index))}")
    twice = int(frame[KEY].duplicated().sum())
    if twice:
        raise DataError(f"{setting} must have one row for each stay, {twice} rows repeat one")
    return frame


def _outcomes(stays: "pd.DataFrame") -> "pd.Series[Any]":
    status = stays["hospitaldischargestatus"]
    bad = int((status.notna() & ~status.isin(OUTCOMES)).sum())
    if bad:
        raise DataError(
            f"data.root: hospitaldischargestatus must be {' or '.join(OUTCOMES)} or empty, "
            f"{bad} of {len(status)} are not"
        )
    return status


def _features(stays: "pd.DataFrame") -> npt.NDArray[np.float32]:
    """(n_stays, 44) float32: physiology, admission, age, male."""
    columns = [_numbers(stays[name], name) for name in (*PHYSIOLOGY, *ADMISSION)]
    age = _numbers(stays["age"].where(stays["age"] != OLDEST, "90"), "age")
    male = stays["gender"].map({"Male": 1.0, "Female": 0.0}).to_numpy(dtype=np.float64)
    return np.stack([*columns, age, male], axis=1).astype(np.float32)


def _numbers(column: "pd.Series[Any]", name: str) -> npt.NDArray[np.float64]:
    """One column with NaN for -1 and for an empty cell."""
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = int((np.isnan(values) & column.notna().to_numpy()).sum() + np.isinf(values).sum())
    if bad:
        raise DataError(f"data.root: {name} must be numbers, {bad} of {len(values)} are not")
    return np.where(values == -1, np.nan, values)
