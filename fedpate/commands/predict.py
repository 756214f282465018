"""`fedpate predict RUN_DIR INPUT`: ask the student of a finished run."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedpate.commands._arguments import Parser
from fedpate.errors import ConfigError

if TYPE_CHECKING:
    from fedpate.data.inputs import Inputs
    from fedpate.data.schema import Schema
    from fedpate.records import Floats

HELP = """\
usage: fedpate predict RUN_DIR INPUT [--out FILE] [--json]

Asks the student of a finished run, through its student.onnx. The answers cost no privacy: the
student is made of released labels and public records. INPUT is

  FILE.csv      (or Parquet) with the columns of the training, in any order; others are left aside.
                A column `id` names the records, else they are numbered from 1
  FOLDER        PNG and JPEG images, also in folders below, resized as in the training
  FILE.npz      the array `features`, records as the data set has them; `ids` if it is there

Prints CSV: id, label (the most probable class), and the probability of each class as p_CLASS.

  --out FILE    write there instead
  --json        a list of {"id", "label", "probabilities"}

examples
  fedpate predict outputs/2026-01-31/12-00-00 patients.csv
  fedpate predict outputs/2026-01-31/12-00-00 xrays/ --out predictions.csv
  fedpate predict outputs/2026-01-31/12-00-00 patients.csv --json"""


def main(args: Sequence[str]) -> int:
    """Predict one input.

    Raises:
      ConfigError, DataError: not a run with a student.onnx, or records that do not fit it.
    """
    parser = Parser(add_help=False)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    parser.add_argument("input", type=Path, metavar="INPUT")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.read(args)
    model = _model(asked.run_dir.expanduser())
    from fedpate import _json
    from fedpate.commands import _output
    from fedpate.data.inputs import read_inputs
    from fedpate.learning.onnx_student import OnnxStudent

    student = OnnxStudent.load(model)
    inputs = read_inputs(asked.input.expanduser(), student.schema, student.record_shape)
    table = student.predict(inputs.features)
    if asked.json:
        text = _json.dumps(_as_json(inputs, table, student.schema), indent=2) + "\n"
    else:
        text = _as_csv(inputs, table, student.schema)
    if asked.out is not None:
        _output.write_file(asked.out.expanduser(), "--out", text)
    else:
        _output.say(text.rstrip("\n"))
    return 0


def _model(run_dir: Path) -> Path:
    """The student.onnx of a finished run."""
    from fedpate.data.files import is_file

    if not is_file(run_dir / "summary.json"):
        raise ConfigError(f"RUN_DIR must be the directory of a finished run, got {run_dir}")
    model = run_dir / "student.onnx"
    if not is_file(model):
        raise ConfigError(
            f"RUN_DIR must hold student.onnx, {run_dir} does not: fedpate.log says why "
            "(no label was released, or a student without an ONNX form)"
        )
    return model


def _rounded(probabilities: "Floats") -> list[float]:
    return [round(share, 6) for share in probabilities.tolist()]  # float32 has no more digits


def _as_json(inputs: "Inputs", table: "Floats", schema: "Schema") -> list[dict[str, Any]]:
    names = schema.class_names
    return [
        {
            "id": one,
            "label": names[int(row.argmax())],
            "probabilities": dict(zip(names, _rounded(row), strict=True)),
        }
        for one, row in zip(inputs.ids, table, strict=True)
    ]


def _as_csv(inputs: "Inputs", table: "Floats", schema: "Schema") -> str:
    names = schema.class_names
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["id", "label", *(f"p_{name}" for name in names)])
    for one, row in zip(inputs.ids, table, strict=True):
        writer.writerow([one, names[int(row.argmax())], *_rounded(row)])
    return buffer.getvalue()
