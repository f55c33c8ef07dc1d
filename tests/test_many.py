from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.files import bundle_bytes
from support.many import SLEEP, die, die_once, execute_pickled, run_job_dying_at, touch_and_sleep

import tfckpt
from tfckpt.checkpoint.find.state_file import CheckpointState, read_state, write_state
from tfckpt.errors import (
    CheckpointExistsError,
    CheckpointNotFoundError,
    ManifestError,
    PlanError,
    StorageError,
    UsageError,
)
from tfckpt.many import many
from tfckpt.many.many import Outcome, run_job
from tfckpt.many.processes import ATTEMPTS, Processes
from tfckpt.storage.local_output import TEMPORARY_SUFFIX

pytestmark = pytest.mark.exhaustive

Job = dict[str, Any]


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), os.chdir, ("/",)) as executor:
        yield executor


@pytest.fixture
def job(bert: str, tmp_path: Path) -> Job:
    return {"source": bert, "dest": str(tmp_path / "out")}


@pytest.fixture
def done(job: Job) -> Job:
    """A job that is done."""
    tfckpt.convert(**job)
    return job


def inodes(prefix: str) -> list[tuple[int, int]]:
    """Return what changes when a file of a checkpoint is written anew."""
    paths = sorted(Path(prefix).parent.glob(f"{Path(prefix).name}.*"))
    return [(path.stat().st_ino, path.stat().st_mtime_ns) for path in paths]


def damage(prefix: str) -> None:
    """Change the last byte of the data file."""
    path = Path(f"{prefix}.data-00000-of-00001")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_jobs_write_what_convert_writes(kind: str, bert: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    targets = ("encoder", "keras", "pretrainer")
    jobs = [{"source": bert, "dest": tmp_path / f"many-{to}", "to": to} for to in targets]
    outcomes = tfckpt.convert_many(jobs, request.getfixturevalue(kind))
    assert [(outcome.status, outcome.to) for outcome in outcomes] == [("done", to) for to in targets]
    for to, outcome in zip(targets, outcomes, strict=True):
        plan = tfckpt.convert(bert, tmp_path / to, to=to)
        assert bundle_bytes(tmp_path / f"many-{to}") == bundle_bytes(tmp_path / to)
        assert (outcome.tensors, outcome.nbytes, outcome.num_heads) == (len(plan.steps), plan.nbytes, plan.num_heads)
        assert outcome.dropped == {rule: len(items) for rule, items in plan.dropped_by_rule().items()}
        assert outcome.notes == plan.notes


def test_a_relative_path_starts_where_the_caller_is(
    bert_copy: str, processes: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.rename("source/bert_config.json", "config.json")
    job = {"source": "source/model.ckpt-3", "dest": "new/out", "config": "config.json"}
    (outcome,) = tfckpt.convert_many([job], processes)
    assert (outcome.source, outcome.dest, outcome.status) == ("source/model.ckpt-3", "new/out", "done")
    assert tfckpt.prove(bert_copy, tmp_path / "new" / "out", config="config.json")


def test_without_an_executor_processes_do_it(job: Job, capfd: pytest.CaptureFixture[str]) -> None:
    ended: dict[int, Outcome] = {}
    jobs = [job, job | {"source": "nowhere", "dest": f"{job['dest']}-2"}]
    outcomes = tfckpt.convert_many(jobs, max_workers=1, on_outcome=ended.__setitem__)
    assert [outcome.status for outcome in outcomes] == ["done", "failed"]
    assert isinstance(outcomes[1].error, CheckpointNotFoundError)
    assert [ended[number] for number in range(2)] == outcomes
    assert capfd.readouterr() == ("", "")


def test_no_jobs_have_no_outcomes() -> None:
    assert tfckpt.convert_many([]) == []


def test_a_failure_does_not_stop_the_others(bert: str, threads: Executor, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    dests = ("a", "file/b", "c", "d", "e")
    jobs: list[Job] = [{"source": bert, "dest": str(tmp_path / dest)} for dest in dests]
    jobs[0] |= {"source": str(tmp_path / "nowhere")}
    jobs[2] |= {"num_heads": 3}
    jobs[3] |= {"verify": []}  # type checkers and argparse do not let that through
    jobs[3] |= {"exclude": 5}
    outcomes = tfckpt.convert_many(jobs, threads)
    kinds = [CheckpointNotFoundError, StorageError, PlanError, TypeError, type(None)]
    assert [type(outcome.error) for outcome in outcomes] == kinds
    assert [outcome.status for outcome in outcomes] == ["failed"] * 4 + ["done"]
    assert sorted(os.listdir(tmp_path)) == ["e.data-00000-of-00001", "e.index", "file"]


def test_complaints_are_those_of_the_error(bert_copy: str, job: Job, threads: Executor) -> None:
    with tfckpt.open(bert_copy) as checkpoint:
        tensors = {name: checkpoint[name].copy() for name in checkpoint}
    tfckpt.save(bert_copy, tensors | {"mine": 1, "yours": 2}, overwrite=True)
    (outcome,) = tfckpt.convert_many([job | {"source": bert_copy}], threads)
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(bert_copy)
    assert len(outcome.complaints) > 1
    assert outcome.complaints == caught.value.reasons
    assert outcome.to_json()["error"] == "PlanError"


def test_an_outcome_pickles(job: Job) -> None:
    done, failed = run_job(job), run_job(job | {"source": "nowhere"})
    assert pickle.loads(pickle.dumps(done)) == done
    restored = pickle.loads(pickle.dumps(failed))
    assert (restored.complaints, type(restored.error)) == (failed.complaints, CheckpointNotFoundError)


def test_what_is_proven_done_is_not_touched(done: Job, threads: Executor) -> None:
    before = inodes(done["dest"])
    (outcome,) = tfckpt.convert_many([done | {"overwrite": True}], threads)
    assert (outcome.status, outcome.tensors, outcome.num_heads) == ("skipped", 39, 2)
    assert inodes(done["dest"]) == before


def of_another_target(dest: str, bert: str) -> None:
    tfckpt.convert(bert, dest, to="pretrainer", overwrite=True)


def with_more_than_the_model(dest: str, bert: str) -> None:
    with tfckpt.open(dest) as checkpoint:
        tensors = dict(checkpoint)
    tfckpt.save(dest, tensors | {"save_counter/.ATTRIBUTES/VARIABLE_VALUE": 1}, overwrite=True)


def without_data(dest: str, bert: str) -> None:
    Path(f"{dest}.data-00000-of-00001").unlink()


def without_an_index(dest: str, bert: str) -> None:
    Path(f"{dest}.index").write_bytes(b"no index")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda dest, bert: damage(dest), "expected 0x"),
        (of_another_target, "missing; bert/embeddings/word_embeddings belongs there (11 more)"),
        (with_more_than_the_model, "save_counter"),
        (without_data, "data-00000-of-00001"),
        (without_an_index, "out.index"),
    ],
)
def test_a_destination_that_is_not_proven_is_an_error_unless_overwritten(
    spoil: Callable[[str, str], None], why: str, done: Job, bert: str, threads: Executor
) -> None:
    right = bundle_bytes(done["dest"])
    spoil(done["dest"], bert)
    before = inodes(done["dest"])
    (outcome,) = tfckpt.convert_many([done], threads)
    assert isinstance(outcome.error, CheckpointExistsError)
    assert why in str(outcome.error)
    assert ("more)" in str(outcome.error)) is ("more)" in why)
    assert str(outcome.error).endswith("; choose another name, or overwrite it")
    assert inodes(done["dest"]) == before
    (outcome,) = tfckpt.convert_many([done | {"overwrite": True}], threads)
    assert outcome.status == "done"
    assert bundle_bytes(done["dest"]) == right


def test_other_options_make_another_checkpoint(done: Job, threads: Executor) -> None:
    (outcome,) = tfckpt.convert_many([done | {"vocab_size": 31}], threads)
    assert isinstance(outcome.error, CheckpointExistsError)
    assert "expected shape float32[31, 8], got float32[30, 8]; " in str(outcome.error)


def test_the_source_itself_is_never_taken_for_its_conversion(bert_copy: str, threads: Executor) -> None:
    before = bundle_bytes(bert_copy)
    (outcome,) = tfckpt.convert_many(
        [{"source": bert_copy, "dest": bert_copy, "to": "keras", "overwrite": True}], threads
    )
    assert isinstance(outcome.error, UsageError)
    assert bundle_bytes(bert_copy) == before


def test_a_data_file_that_lost_its_index_is_not_replaced(done: Job, threads: Executor) -> None:
    Path(f"{done['dest']}.index").unlink()
    (outcome,) = tfckpt.convert_many([done], threads)
    assert isinstance(outcome.error, CheckpointExistsError)
    assert os.listdir(Path(done["dest"]).parent) == ["out.data-00000-of-00001"]


def test_a_state_file_that_a_killed_run_did_not_write_is_written(done: Job, threads: Executor) -> None:
    directory = os.path.dirname(done["dest"])
    write_state(directory, CheckpointState("older", ("older",)))
    for _ in range(2):
        (outcome,) = tfckpt.convert_many([done | {"update_state": True}], threads)
        assert outcome.status == "skipped"
        assert tfckpt.latest_checkpoint(directory) == done["dest"]
        before = os.stat(os.path.join(directory, "checkpoint"))
    state = read_state(directory)
    assert state is not None
    assert state.all_model_checkpoint_paths == ("older", "out")
    tfckpt.convert_many([done | {"update_state": True}], threads)
    assert os.stat(os.path.join(directory, "checkpoint")) == before


def test_jobs_that_cannot_all_be_run_are_refused_before_any_is_started(tmp_path: Path, threads: Executor) -> None:
    os.symlink(tmp_path, tmp_path / "link")
    here = str(tmp_path)
    jobs: list[Job] = [
        {"source": "s", "dest": f"{here}/a", "update_state": True},
        {"source": "s", "dest": f"{here}/link/../{tmp_path.name}/a"},
        {"source": f"{here}/a.index", "dest": f"{here}/b", "update_state": True},
        {"source": "s", "dest": f"{here}/c", "too": "keras", "progress": print},
        {"dest": ""},
        {"source": f"{here}/d", "dest": f"{here}/d"},
    ]
    with pytest.raises(ManifestError) as caught:
        tfckpt.convert_many(jobs, threads)
    starts = [
        f"job 2: {here}/link/../{tmp_path.name}/a is the destination of job 1, too",
        f"job 3: which is the latest of {here}: this one, or job 1?",
        "job 4: 'too' is no option of a conversion; there are averages, config, dest, exclude, ",
        "job 4: 'progress' is no option",
        "job 5: no source",
        "job 5: no dest",
        f"job 3: the source {here}/a.index is what job 1 writes; ",
    ]
    for start, complaint in zip(starts, caught.value.reasons, strict=True):
        assert complaint.startswith(start)
    assert os.listdir(tmp_path) == ["link"]


def test_a_job_that_the_executor_lost_has_failed(job: Job) -> None:
    class Broken(Executor):
        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(RuntimeError("worker gone"))
            return future

    (outcome,) = tfckpt.convert_many([job], Broken())
    assert (outcome.status, outcome.complaints) == ("failed", ("worker gone",))


def test_an_interrupt_ends_what_processes_do_and_nothing_more_begins(tmp_path: Path) -> None:
    begun = time.monotonic()
    futures: list[Future[None]] = []

    def work() -> None:
        with Processes(2, most=4) as processes:
            futures.extend(processes.submit(touch_and_sleep, str(tmp_path / str(number))) for number in range(4))
            while len(list(tmp_path.iterdir())) < 2:
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert time.monotonic() - begun < SLEEP
    assert len(list(tmp_path.iterdir())) == 2
    assert all(future.cancelled() or future.exception() for future in futures)


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.04, 0.06, 0.08, 0.1])
def test_a_worker_that_is_starting_is_interrupted_without_a_word(tmp_path: Path, delay: float) -> None:
    program = f"""
import os, signal, sys, time
sys.path.insert(0, {os.path.dirname(__file__)!r})
from support.many import touch_and_sleep
from tfckpt.many.processes import Processes
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells ignore in what they start in the background
    try:
        with Processes(2, most=2) as processes:
            [processes.submit(touch_and_sleep, os.path.join(sys.argv[1], str(n))) for n in range(2)]
            time.sleep({delay})
            os.killpg(0, signal.SIGINT)  # as Ctrl-C does
            signal.pause()
    except KeyboardInterrupt:
        print("interrupted")
"""
    (tmp_path / "program.py").write_text(program)
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SLEEP, start_new_session=True)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
    assert delay or sorted(os.listdir(tmp_path)) == ["program.py"]


def test_what_has_not_begun_does_not_begin_after_an_interrupt(bert: str, tmp_path: Path) -> None:
    def interrupt(number: int, outcome: Outcome) -> None:
        raise KeyboardInterrupt

    jobs = [{"source": bert, "dest": str(tmp_path / f"{n:02}")} for n in range(20)]
    with ThreadPoolExecutor(1) as executor, pytest.raises(KeyboardInterrupt):
        tfckpt.convert_many(jobs, executor, on_outcome=interrupt)
    assert len(list(tmp_path.glob("*.index"))) < 20
    assert not list(tmp_path.glob(f"*{TEMPORARY_SUFFIX}"))


def test_the_job_of_a_killed_process_is_done_by_another(tmp_path: Path) -> None:
    with Processes(1, most=9) as pool:
        before, during, after = (
            pool.submit(os.getpid),
            pool.submit(die_once, str(tmp_path / "died")),
            pool.submit(os.getpid),
        )
        assert before.result() != during.result() == after.result()


def test_a_job_whose_process_is_killed_between_two_renames_is_done_anyhow(job: Job, tmp_path: Path) -> None:
    job |= {"dest": str(tmp_path / "new" / "out")}
    with Processes(1, most=9) as pool:
        outcome = pool.submit(run_job_dying_at, f"{job['dest']}.index", str(tmp_path / "died"), job).result()
    assert (tmp_path / "died").exists()
    assert outcome.status == "done"
    assert sorted(os.listdir(tmp_path / "new")) == ["out.data-00000-of-00001", "out.index"]
    assert tfckpt.prove(job["source"], job["dest"])


def test_a_job_that_kills_every_process_fails_alone() -> None:
    with Processes(2, most=9) as pool:
        deadly, other = pool.submit(die), pool.submit(os.getpid)
        with pytest.raises(StorageError, match=f"was killed, {ATTEMPTS} times in a row"):
            deadly.result()
        assert other.result() > 0


def test_no_number_of_processes_but_a_positive_one(job: Job) -> None:
    with pytest.raises(UsageError, match="expected 1 or more, got 0"):
        tfckpt.convert_many([job], max_workers=0)
    with pytest.raises(UsageError, match="expected 1 or more, got 0"):
        tfckpt.convert_many([job], processes=0)


@pytest.mark.parametrize("name", ["processes", "max_workers"])
def test_the_number_of_processes_has_the_name_of_the_command_line_too(
    job: Job, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked = []

    def pool(workers: int | None, *, most: int) -> Executor:
        asked.append((workers, most))
        return ThreadPoolExecutor(1)

    monkeypatch.setattr(many, "Processes", pool)
    number: dict[str, Any] = {name: 3}
    assert [outcome.status for outcome in tfckpt.convert_many([job], **number)] == ["done"]
    assert asked == [(3, 1)]


def test_a_number_of_processes_under_both_names_is_refused(job: Job) -> None:
    with pytest.raises(
        UsageError, match=r"^processes: max_workers is given, too, which means the same; give one of them$"
    ):
        tfckpt.convert_many([job], processes=2, max_workers=2)
    assert not Path(f"{job['dest']}.index").exists()


def test_a_plan_is_carried_out_by_another_process(bert: str, processes: Executor, tmp_path: Path) -> None:
    plan = tfckpt.plan(bert, to="pretrainer")
    processes.submit(execute_pickled, pickle.dumps(plan), str(tmp_path / "there")).result()
    tfckpt.convert(bert, tmp_path / "here", to="pretrainer")
    assert bundle_bytes(tmp_path / "there") == bundle_bytes(tmp_path / "here")
