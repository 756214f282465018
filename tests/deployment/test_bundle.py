"""A hospital runs only the app that it installed, whatever bundle the coordinator sends."""

import io
import json
import subprocess
import sys
import time
import zipfile
from hashlib import sha256

import pytest
from flwr.app import Context, Message, RecordDict
from flwr.cli.build import build_fab_from_files
from hypothesis import given
from hypothesis import strategies as st

from deployments import PATIENCE_S, Federation
from fedpate.federation import bundle, wire
from fedpate.federation.deployment import client_executor, thin
from fedpate.federation.deployment.control import Control
from fedpate.federation.engines.identity import acting_as_coordinator
from fedpate.federation.provision import templates
from fedpate.federation.refusals import Code

# Flower's builder of bundles calls an old name in pathspec.
pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")

CLIENT = """\
import os
from pathlib import Path

Path(os.environ.get("EVIL", {target!r})).write_text("the bundle's code ran in the hospital")
from fedpate.federation.client_app import app
"""
SERVER = """\
import json, time
from pathlib import Path
from flwr.app import Message, RecordDict
from flwr.serverapp import ServerApp
from fedpate.federation import wire

app = ServerApp()

@app.main()
def main(grid, context):
    while not (nodes := list(grid.get_node_ids())):
        time.sleep(0.2)
    asks = [Message(wire.hello_request(), node, "query.hello") for node in nodes]
    replies = grid.send_and_receive(asks, timeout=60)
    codes = [reply.error.code if reply.has_error() else 0 for reply in replies]
    draft = Path(str(context.run_config["run-file"]) + ".draft")
    draft.write_text(json.dumps(codes))
    draft.rename(str(context.run_config["run-file"]))
"""


def evil(target):
    """A bundle that looks like ours and brings code of its own."""
    text = bundle.project("").replace("fedpate.federation.client_app:app", "evil.client:app")
    files = {
        "pyproject.toml": text.replace("fedpate.federation.server_app:app", "evil.server:app"),
        "evil/__init__.py": "",
        "evil/client.py": CLIENT.format(target=str(target)),
        "evil/server.py": SERVER,
    }
    return build_fab_from_files({name: text.encode() for name, text in files.items()})[0]


def packed(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files:
            archive.writestr(name, content)
    return file.getvalue()


def by_hand(project, *more):
    manifest = f"pyproject.toml,{sha256(project).hexdigest()},{len(project) * 8}"
    return packed([("pyproject.toml", project), (".info/CONTENT", manifest), *more])


def test_the_thin_bundle_is_known_however_it_is_packed():
    text = bundle.project("").encode()
    assert thin.is_thin(thin.fab())
    assert thin.is_thin(by_hand(text))
    assert thin.is_thin(by_hand(b"# another comment\n" + text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fedpate.federation.client_app:app", "evil:app"),
        ("fedpate.federation.server_app:app", "evil:app"),
        ("dependencies = []", 'dependencies = ["evil"]'),
        ('version = "', 'version = "9'),
        ('run-file = ""', 'run-file = "x"'),
        ("[tool.flwr.app]", '[tool.flwr.app]\nfab-include = ["*"]'),
    ],
)
def test_a_bundle_that_says_anything_else_is_not_thin(old, new):
    text = bundle.project("")
    assert old in text
    assert not thin.is_thin(by_hand(text.replace(old, new).encode()))


def test_a_bundle_that_brings_anything_else_is_not_thin(tmp_path):
    text = bundle.project("").encode()
    assert not thin.is_thin(evil(tmp_path / "x"))
    assert not thin.is_thin(by_hand(text, ("evil.py", "x")))
    assert not thin.is_thin(by_hand(text, (".info/CONTENT2", "")))
    assert not thin.is_thin(packed([("pyproject.toml", text)]))
    assert not thin.is_thin(packed([("pyproject.toml", text), (".info/CONTENT", "other")]))
    assert not thin.is_thin(by_hand(text + b"#" * thin.LARGEST))
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = by_hand(text, ("pyproject.toml", b"evil"))
    assert not thin.is_thin(twice)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_damaged_bundles_are_refused_and_nothing_else_happens(noise, at):
    whole = thin.fab()
    assert not thin.is_thin(noise)
    damaged = whole[:at] + noise + whole[at + len(noise) :]
    if damaged != whole:
        thin.is_thin(damaged)  # raises nothing


def ask(folder, content, allowed="installed"):
    values = {"federation": "f", "hospital": "n", "coordinator": "c:1", "authority_until": "2036"}
    rendered = {name: text.decode() for name, text, _ in templates.render("hospital", values)}
    policy = folder / "policy.yaml"
    policy.write_text(rendered["policy.yaml"].replace("bundle: installed", f"bundle: {allowed}"))
    with acting_as_coordinator(run_id=1):
        message = Message(wire.hello_request(), 7, "query.hello")
        message.metadata.__dict__["_message_id"] = "asked"
        return client_executor.answer(message, Context(1, 7, {}, RecordDict(), {}), content, policy)


def test_flower_itself_would_run_it_and_we_answer_with_a_code(tmp_path, monkeypatch):
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "flower"))
    written, content = tmp_path / "written", evil(tmp_path / "written")
    assert ask(tmp_path, content).error.code == Code.BUNDLE
    assert not written.exists()
    assert ask(tmp_path, thin.fab()).error.code == Code.NO_SITE  # the installed app was asked
    assert ask(tmp_path, thin.fab(), sha256(thin.fab()).hexdigest()).error.code == Code.NO_SITE
    assert ask(tmp_path, thin.fab(), "f" * 64).error.code == Code.BUNDLE
    assert ask(tmp_path, thin.fab(), "broken").error.code == Code.FAILED
    assert ask(tmp_path, content, sha256(content).hexdigest()).error.code == Code.BUNDLE
    code = (
        "import sys; from flwr.cli.install import install_from_fab\n"
        "from flwr.clientapp.utils import get_load_client_app_fn\n"
        "content = sys.stdin.buffer.read(); install_from_fab(content, skip_prompt=True)\n"
        "load = get_load_client_app_fn(default_app_ref='', app_path=None, multi_app=True)\n"
        f"load('fedpate/fedpate-bundle', {bundle.fedpate.__version__!r}, "
        f"{sha256(content).hexdigest()!r})"
    )
    subprocess.run([sys.executable, "-c", code], input=content, check=True, capture_output=True)
    assert written.read_text() == "the bundle's code ran in the hospital"


@pytest.mark.processes
def test_a_coordinator_that_sends_code_gets_a_refusal_and_the_code_does_not_run(tmp_path):
    written, codes = tmp_path / "written", tmp_path / "codes.json"
    federation = Federation(tmp_path, "north")
    try:
        coordinator = federation.coordinator()
        federation.hospital("north")
        coordinator.wait_for("north joined")
        with Control(federation.home) as control:
            control.submit(evil(written), {"run-file": str(codes)})
        deadline = time.monotonic() + PATIENCE_S
        while not codes.exists():
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert json.loads(codes.read_text()) == [int(Code.BUNDLE)]
        assert not written.exists()
        log = (federation.out / "north/state/logs/executor.log").read_text()
        assert "refused: the hospital runs only the thin bundle" in log
        assert not list((federation.out / "north").rglob("evil"))
    finally:
        federation.stop()
    federation.require_no_process()
