"""Many conversions side by side, through any executor of ``concurrent.futures``; what is proven done is not done again.

A job is a mapping of `tfckpt.convert`'s arguments, and an outcome is what became of it: both are plain data, which pickle.
Jobs do not touch each other's files, so each may run in a thread, in a process, or on another machine that sees the files.
Whether a job is done is not written down anywhere: it is proven, from the two checkpoints.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from tfckpt.base.html import in_notebooks
from tfckpt.base.issues import Issue, lines_of, notes_to_json
from tfckpt.calls.convert import convert, plan
from tfckpt.checkpoint.checkpoint import check_apart
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.checkpoint.find import state_file
from tfckpt.checkpoint.find.locate import check_prefix
from tfckpt.errors import (
    CheckpointExistsError,
    CheckpointNotFoundError,
    FormatError,
    ManifestError,
    ProofError,
    StorageError,
    TfckptError,
    UsageError,
    count_of,
    redacted,
)
from tfckpt.many.processes import Processes
from tfckpt.planning.plan import Plan
from tfckpt.proof import prove as proving
from tfckpt.storage import files
from tfckpt.storage.paths import V2, index_path, is_remote, split, strip_suffix

Job = Mapping[str, Any]  # source, dest, and options of `tfckpt.convert`, by name

DONE, SKIPPED, FAILED = "done", "skipped", "failed"
PATHS = ("source", "dest", "config", "layout", "families")  # those of a job's arguments that are paths
UNPROVEN = (ProofError, FormatError, StorageError, CheckpointNotFoundError)


@in_notebooks
@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one job: plain data, which pickles.

    Attributes:
        source: as the job has it.
        dest: as the job has it.
        status: ``"done"``; ``"skipped"``: it was done before, which is proven; or ``"failed"``.
        to: name of the target's layout.
        num_heads: the head count used, which shapes cannot prove; None if nothing was split into heads.
        tensors: number of tensors that the destination holds.
        nbytes: bytes of them.
        dropped: number of tensors left out, by rule.
        issues: what a user should know, as data.
        error: why it failed; None if it did not.
        filled: number of the tensors whose values no source has.
    """

    source: str
    dest: str
    status: str
    to: str = ""
    num_heads: int | None = None
    tensors: int = 0
    nbytes: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    issues: tuple[Issue, ...] = ()
    error: Exception | None = None
    filled: int = 0

    def __repr__(self) -> str:
        told = f"{self.to!r}, {count_of(self.tensors, 'tensor')}" if self.error is None else repr(self.complaints[0])
        return redacted(f"<Outcome of {self.source!r} to {self.dest!r}: {self.status}, {told}>")

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know, one line each."""
        return lines_of(self.issues)

    @property
    def from_source(self) -> int:
        """Number of the tensors whose values come from the source."""
        return self.tensors - self.filled

    @property
    def complaints(self) -> tuple[str, ...]:
        """Why it failed, one line each; none if it did not."""
        if self.error is None:
            return ()
        if isinstance(self.error, TfckptError):
            return self.error.reasons
        return (str(self.error) or type(self.error).__name__,)

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {
            "source": self.source,
            "destination": self.dest,
            "status": self.status,
            "to": self.to,
            "num_heads": self.num_heads,
            "tensors": self.tensors,
            "from_source": self.from_source,
            "filled": self.filled,
            "nbytes": self.nbytes,
            "dropped": dict(self.dropped),
            **notes_to_json(self.issues),
            "error": None if self.error is None else type(self.error).__name__,
            "complaints": list(self.complaints),
        }


def convert_many(
    jobs: Iterable[Job],
    executor: Executor | None = None,
    *,
    max_workers: int | None = None,
    on_outcome: Callable[[int, Outcome], None] | None = None,
    processes: int | None = None,
) -> list[Outcome]:
    """Run many conversions side by side; one that fails does not stop the others.

    A job whose destination is there already is skipped if the destination is what the job would write: the plan is made anew,
    and every value and every checksum of both checkpoints is compared, as `prove` does. What is there and is not that makes
    the job fail, unless it says ``overwrite``. So the same call again does what is left to do, whatever stopped it before.

    Args:
        jobs: each the arguments of `convert` by name, ``source`` and ``dest`` among them, and no ``progress``; what
            `read_manifest` returns. No two may have one ``dest``, and none may read what another writes.
        executor: what runs them: any executor of ``concurrent.futures`` whose workers see the files. Unless given, processes,
            as many as there are cores; like every process pool, they need ``if __name__ == "__main__":`` in a script. If one
            of them is killed, another takes its job over.
        max_workers: how many processes, where no executor is given: the name that executors of ``concurrent.futures`` have
            for it.
        on_outcome: called with (index of the job, its outcome) when a job has ended, in the order in which they end.
        processes: the same as ``max_workers``, by the name that the command line has for it: ``--processes``.
    Returns:
        An outcome for each job, in the order of ``jobs``.
    Raises:
        ManifestError: the jobs cannot all be run; lists every reason. None has been started.
        UsageError: a number of processes is below 1, or is given by both of its names.
    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> jobs = [{"source": "bert_model.ckpt", "dest": f"many/{to}", "to": to} for to in ("encoder", "keras")]
        >>> with ThreadPoolExecutor() as pool:
        ...     first, again = (tfckpt.convert_many(jobs, pool) for _ in range(2))
        >>> [(outcome.status, outcome.tensors) for outcome in first], [outcome.status for outcome in again]
        ([('done', 39), ('done', 139)], ['skipped', 'skipped'])
    """
    if processes is not None:
        if max_workers is not None:
            raise UsageError("processes: max_workers is given, too, which means the same; give one of them")
        max_workers = processes
    jobs = [_plain(job) for job in jobs]
    complaints = check_jobs(jobs, [f"job {number}" for number in range(1, len(jobs) + 1)])
    if complaints:
        raise ManifestError(complaints)
    outcomes: dict[int, Outcome] = {}
    with Processes(max_workers, most=len(jobs)) if executor is None else nullcontext(executor) as pool:
        futures = {pool.submit(run_job, _anywhere(job)): number for number, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                number = futures[future]
                outcomes[number] = _outcome(future, jobs[number])
                if on_outcome is not None:
                    on_outcome(number, outcomes[number])
        finally:  # of an interrupt; those that have ended are not changed by it
            for future in futures:
                future.cancel()
    return [outcomes[number] for number in range(len(jobs))]


def run_job(job: Job) -> Outcome:
    """Do one job, unless it is proven done; a failure that is foreseen is an outcome."""
    try:
        return _run(job)
    except (TfckptError, OSError) as error:
        return Outcome(job["source"], job["dest"], FAILED, error=error)


def _run(job: Job) -> Outcome:
    prefix = check_prefix(job["dest"])
    if not files.exists(index_path(prefix)):
        return _report(job, DONE, convert(**job))
    report = plan(**{name: job[name] for name in inspect.signature(plan).parameters if name in job})
    try:
        _prove(report, job, prefix)
    except UNPROVEN as error:
        if job.get("overwrite"):
            return _report(job, DONE, convert(**job))
        first, *more = error.reasons
        raise CheckpointExistsError(
            f"{prefix}: already exists, and is not what this makes of {job['source']}: {first}"
            f"{f' ({len(more)} more)' if more else ''}; choose another name, or overwrite it"
        ) from error
    if job.get("update_state") and not _is_latest(prefix):
        state_file.update_state(prefix)
    return _report(job, SKIPPED, report)


def check_jobs(jobs: Sequence[Job], places: Sequence[str]) -> list[Issue]:
    """Return why jobs cannot all be run side by side; ``places`` says where each stands, and so do the issues."""
    complaints = []
    written: dict[str, str] = {}
    latest: dict[str, str] = {}
    for job, place in zip(jobs, places, strict=True):
        wrong = list(_wrong_arguments(job))
        complaints += [Issue("said", got=text, origin=place) for text in wrong]
        if wrong:
            continue
        dest = _file(os.fspath(job["dest"]))
        if dest in written:
            text = f"{job['dest']} is the destination of {written[dest]}, too"
            complaints.append(Issue("said", got=text, origin=place))
        written.setdefault(dest, place)
        directory, _ = split(dest)
        if job.get("update_state") and directory in latest:
            text = f"which is the latest of {directory}: this one, or {latest[directory]}?"
            complaints.append(Issue("said", got=text, origin=place))
        if job.get("update_state"):
            latest.setdefault(directory, place)
    for job, place in zip(jobs, places, strict=True):
        writer = written.get(_file(strip_suffix(os.fspath(job.get("source", "")))), place)
        if writer != place:
            text = f"the source {job['source']} is what {writer} writes; run that before, by itself"
            complaints.append(Issue("said", got=text, origin=place))
    return complaints


def _wrong_arguments(job: Job) -> Iterator[str]:
    known = inspect.signature(convert).parameters.keys() - {"progress"}
    for name in ("source", "dest"):
        if not job.get(name):
            yield f"no {name}"
    for name in [name for name in job if name not in known]:
        yield f"{name!r} is no option of a conversion; there are {', '.join(sorted(known))}"


def _plain(job: Job) -> dict[str, Any]:
    return {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in job.items()}


def _anywhere(job: Job) -> dict[str, Any]:
    """Return a job that means the same in another working directory."""
    here = os.getcwd()
    return {name: absolute(value, here) if name in PATHS else value for name, value in job.items()}


def absolute(path: str | None, directory: str) -> str | None:
    """Return a path that is not relative to ``directory`` any more; a URL is as it is.

    >>> absolute("tf1/bert_model.ckpt", "/models"), absolute("gs://bucket/bert_model.ckpt", "/models")
    ('/models/tf1/bert_model.ckpt', 'gs://bucket/bert_model.ckpt')
    """
    return path if path is None or is_remote(path) else os.path.join(directory, path)


def _file(path: str) -> str:
    """Return a path spelled in the one way that can be compared."""
    return path if is_remote(path) else os.path.realpath(path)


def _outcome(future: Future[Outcome], job: Job) -> Outcome:
    """Return what became of a job, under the names that it was given."""
    try:
        outcome = future.result()
    except Exception as error:  # a bug, or the executor lost it: the other jobs go on
        return Outcome(job["source"], job["dest"], FAILED, error=error)
    return replace(outcome, source=job["source"], dest=job["dest"])


def _report(job: Job, status: str, report: Plan) -> Outcome:
    dropped = {rule: len(items) for rule, items in report.dropped_by_rule().items()}
    counts = (report.to, report.num_heads, len(report.steps), report.nbytes, dropped, report.issues)
    return Outcome(job["source"], job["dest"], status, *counts, filled=report.filled)


def _prove(report: Plan, job: Job, prefix: str) -> None:
    """Show that a job's destination is what its plan says, key for key and value for value, and nothing else.

    Raises: UsageError if the destination is the source; any of `UNPROVEN`.
    """
    with open_checkpoint(job["source"], format=job.get("source_format")) as source:
        check_apart(source, prefix)
        with open_checkpoint(prefix, format=V2) as dest:
            proving.prove(report, source, dest)


def _is_latest(prefix: str) -> bool:
    directory, name = split(prefix)
    state = state_file.read_state(directory)
    return state is not None and state.model_checkpoint_path == name
