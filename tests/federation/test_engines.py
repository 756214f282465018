import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity

from fedpate.errors import EngineError
from fedpate.federation.engines import flower, processes
from fedpate.federation.engines.identity import acting_as_coordinator
from fedpate.federation.engines.inprocess import InProcessGrid
from fedpate.federation.engines.pool import PoolGrid, worker_pool
from fedpate.federation.job import reporting
from fedpate.federation.server_app import ENDING, PROGRESS

app = ClientApp()  # workers of a pool import it by name
HERE = f"{Path(__file__).stem}:app"


@app.query("echo")
def echo(message: Message, context: Context) -> Message:
    """Says which partition it is and how often it was asked, and spoils what it was sent."""
    state = context.state.setdefault("asked", ConfigRecord({"times": 0}))
    state["times"] += 1
    content = RecordDict(
        {
            "reply": ConfigRecord(
                {
                    "partition": context.node_config["partition-id"],
                    "times": state["times"],
                    "sent": message.content["request"]["value"],
                    "pid": os.getpid(),
                }
            )
        }
    )
    message.content["request"]["value"] = -1
    return Message(content, reply_to=message)


@app.query("die")
def die(message: Message, context: Context) -> Message:
    os._exit(7)


@pytest.fixture(scope="module")
def workers():
    """Workers that find this module, which lies in no package."""
    here = str(Path(__file__).parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(here)
        patch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
        with worker_pool(2) as pool:
            yield pool


@pytest.fixture(params=["inprocess", "pool"])
def grid(request):
    if request.param == "inprocess":
        return InProcessGrid(app, 3)
    return PoolGrid(request.getfixturevalue("workers"), HERE, 3)


def ask(grid, action="query.echo"):
    """Replies by partition, as the coordinator would collect them."""
    request = RecordDict({"request": ConfigRecord({"value": 5})})
    with acting_as_coordinator(grid.run.run_id):
        messages = [Message(request, node, action) for node in grid.get_node_ids()]
        replies = list(grid.send_and_receive(messages, timeout=60))
    assert request["request"]["value"] == 5
    sent = {message.metadata.message_id: message for message in messages}
    assert {reply.metadata.reply_to_message_id for reply in replies} == set(sent)
    return replies


def test_every_node_answers_with_its_own_copy_and_state(grid):
    for times in (1, 2):
        fields = [dict(reply.content["reply"]) for reply in ask(grid)]
        assert sorted(field["partition"] for field in fields) == [0, 1, 2]
        assert all((field["sent"], field["times"]) == (5, times) for field in fields)
    in_here = {field["pid"] == os.getpid() for field in fields}
    assert in_here == {isinstance(grid, InProcessGrid)}


def test_an_unknown_action_is_an_error_without_text(grid):
    for reply in ask(grid, "query.unknown"):
        assert (reply.error.code, reply.error.reason) == (2, None)


def test_a_worker_that_dies_is_an_engine_error(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    before = multiprocessing.active_children()
    with worker_pool(1) as pool, pytest.raises(EngineError, match="a worker of engine=pool died"):
        ask(PoolGrid(pool, HERE, 1), "query.die")
    # Two threads that wait for one child: for a moment one of them believes that it is alive.
    deadline = time.monotonic() + 60
    while not set(multiprocessing.active_children()) <= set(before):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_node_ids_are_random_and_partitions_are_not():
    first, second = InProcessGrid(app, 3), InProcessGrid(app, 3)
    assert not set(first.get_node_ids()) & set(second.get_node_ids())
    for grid in (first, second):
        configs = [context.node_config for context in grid.contexts.values()]
        assert [config["partition-id"] for config in configs] == [0, 1, 2]


def test_the_coordinators_identity_is_put_back():
    before = dict(vars(TaskIdentity))
    with acting_as_coordinator(5):
        assert TaskIdentity.run_id == 5
    assert TaskIdentity._run_id == before["_run_id"]


def test_prepare_sees_all_messages_of_a_round_at_once():
    seen = []
    grid = InProcessGrid(app, 3, prepare=seen.append)
    ask(grid)
    ((first, second, third),) = seen
    assert [first[0], second[0], third[0]] == [0, 1, 2]
    assert first[1] == "query.echo"


def test_the_rest_of_flowers_grid():
    grid = InProcessGrid(app, 1)
    with acting_as_coordinator(1):
        message = grid.create_message(RecordDict(), "query.echo", 3, "1")
    assert message.metadata.dst_node_id == 3
    other = InProcessGrid(app, 1)
    grid.set_run(other.run)
    assert grid.run.run_id == other.run.run_id
    assert list(grid.pull_messages(["unknown"])) == []


SLEEPERS = """
import subprocess, sys, time
if len(sys.argv) > 1:
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
else:
    subprocess.Popen([sys.executable, __file__, "deaf"], start_new_session=True)
time.sleep(600)
"""


def sleeping(arguments, mark):
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, processes.MARK: mark},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def test_all_marked_processes_end_also_the_deaf_and_detached(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "GRACE_S", 0.5)
    script = tmp_path / "sleepers.py"
    script.write_text(SLEEPERS)
    mark = processes.new_mark()
    other_mark = processes.new_mark()
    with (
        sleeping([str(script)], mark) as parent,
        sleeping(["-c", "import time; time.sleep(600)"], other_mark),
    ):
        assert parent.stdout.readline() == b"ready\n"
        assert len(processes.marked(mark)) == 2
        processes.end_marked(mark)
        assert processes.marked(mark) == []
        assert parent.wait(timeout=5) == -signal.SIGTERM
        assert len(processes.marked(other_mark)) == 1
        processes.end_marked(other_mark)


class FakeRuntime:
    """A SuperLink that says what it is told to."""

    def __init__(self, *statuses, alive=True):
        self.statuses, self.alive = list(statuses), alive

    def require_alive(self):
        if not self.alive:
            raise EngineError("Flower's SuperLink ended")

    def status(self, run_id):
        return self.statuses.pop(0)


class Silent:
    def stage(self, name, total):
        pass


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(flower, "LIST_S", 0.0)
    monkeypatch.setattr(flower, "FOLLOW_S", 0.01)


def test_a_run_that_flower_calls_failed_is_an_engine_error(tmp_path, impatient):
    runtime = FakeRuntime("running", "finished:failed")
    with pytest.raises(EngineError, match="finished:failed"):
        flower._follow(runtime, "1", tmp_path, Silent())


def test_a_superlink_that_is_gone_is_an_engine_error(tmp_path):
    with pytest.raises(EngineError, match="ended"):
        flower._follow(FakeRuntime(alive=False), "1", tmp_path, Silent())


def test_the_coordinators_own_error_counts_more_than_flowers(tmp_path, impatient):
    from fedpate.errors import QuorumError

    with pytest.raises(QuorumError), reporting(tmp_path / ENDING):
        raise QuorumError(1, 2, "query.hello")
    (tmp_path / PROGRESS).write_text('["stage", "hospitals", 2]\n')
    with pytest.raises(QuorumError, match="1 completed"):
        flower._follow(FakeRuntime("finished:failed"), "1", tmp_path, Silent())


def test_a_superlink_that_cannot_start_is_an_engine_error(tmp_path, monkeypatch):
    runtime = flower.Runtime(tmp_path / "flower")
    monkeypatch.setattr(runtime, "_script", lambda name: "/bin/false")
    started = time.monotonic()
    with pytest.raises(EngineError, match="SuperLink ended with exit code 1"):
        runtime.start()
    assert time.monotonic() - started < 30


def test_a_missing_command_says_what_to_install(tmp_path):
    runtime = flower.Runtime(tmp_path / "flower")
    with pytest.raises(EngineError, match=r"install flwr\[simulation\]"):
        runtime._script("flower-not-there")


def test_rays_sockets_get_names_that_fit(tmp_path):
    short, long = Path("/tmp/fedpate-12345678/flower/ray"), tmp_path / ("x" * 60)
    assert flower._short(short) == short
    assert len(str(flower._short(long))) <= flower.LONGEST_RAY_FOLDER
    assert flower._short(long) != flower._short(long)


def test_nothing_calls_home_and_nothing_is_installed_at_run_time(tmp_path, monkeypatch):
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    environment = flower.Runtime(tmp_path)._environment
    assert environment["FLWR_TELEMETRY_ENABLED"] == "0"
    assert environment["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert environment["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
    assert environment["FLWR_HOME"].startswith(str(tmp_path))
