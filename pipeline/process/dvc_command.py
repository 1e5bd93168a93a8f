"""DVC on this Python, even if its environment is not activated."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.process.errors import UserError

DVC = (sys.executable, "-m", "dvc")
INTERRUPTED = ("130", f"-{signal.SIGINT}")  # exit status of a stage after Ctrl-C


def run(*arguments: str, **variables: str) -> int:
    """Runs a DVC command in the foreground, with these environment variables; its exit status."""
    environment = {**os.environ, "PATH": _path(), **variables}
    with subprocess.Popen([*DVC, *arguments], env=environment) as process:
        return wait(process)


def wait(process: subprocess.Popen[bytes]) -> int:
    """The exit status of DVC, which gets Ctrl-C too, and then needs time to release its lock.

    `subprocess.run` would kill it after a quarter of a second.
    """
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


def is_outdated(*stages: str) -> bool:
    """Whether `dvc status` says that the results of these stages are of other params, data or code.

    Also if there are none.
    """
    return subprocess.run([*DVC, "status", "--quiet", *stages], check=False).returncode == 1


def reproduce(stages: Sequence[str], *, force: bool = False, goes_on: bool = False) -> bool:
    """Runs what has changed, up to these stages or all; whether every stage succeeded.

    That nothing has changed is said unless the caller `goes_on`.

    As `dvc repro`, but in this process, without DVC's advice on git and remotes, and with its
    faults in one sentence. A stage that fails says why itself. Raises UserError if nothing can be
    run, and KeyboardInterrupt.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    os.environ["PATH"] = _path()
    try:
        with Repo() as repo:
            repo.scm_context.quiet = True
            _check_braces(repo.cache.local.path)
            ran = repo.reproduce(list(stages), force=force)
    except DvcException as error:
        refuse(error)
        causes = (" ".join(str(cause).split()) for cause in _causes(error))
        sentence = f"DVC: {': '.join(causes)}"
        status = re.search(r"exited with (-?\d+)$", sentence)
        if status is None:
            raise UserError(sentence) from None
        if status[1] in INTERRUPTED:
            raise KeyboardInterrupt from None
        if status[1] != "1":  # the stage could not say why itself
            print(f"error: {sentence}", file=sys.stderr)
        return False
    if not ran and not goes_on:
        print("Nothing has changed, so no stage was run.")
    return True


def check_cache() -> None:
    """Raises UserError in a stage that DVC runs if DVC could not keep what it makes.

    `dvc repro` by itself would end with a KeyError.
    """
    if root := os.environ.get("DVC_ROOT"):
        from dvc.repo import Repo

        with Repo(root) as repo:
            _check_braces(repo.cache.local.path)


def _check_braces(cache: str) -> None:
    """Raises UserError for a path that DVC would take for a format of Python when it shows it."""
    if "{" in cache or "}" in cache:
        raise UserError(
            f"DVC cannot use its cache {cache}, as the path has a brace; rename the folder, or put "
            "the cache elsewhere by `dvc cache dir --local FOLDER`"
        )


def refuse(error: BaseException) -> None:
    """Raises UserError if DVC found another process that holds its lock, or no git here."""
    from dvc.lock import LockError

    causes = list(_causes(error))
    if any("is not a git repository" in str(cause) for cause in causes):
        raise UserError(
            "this folder is not a git checkout, as after a download as zip; run `git init`, "
            "or `dvc config --local core.no_scm true` to do without git"
        ) from None
    if any(isinstance(cause, LockError) for cause in causes):
        raise UserError(
            "another run, or another DVC command, is at work in this folder; "
            "wait until it has ended, then run again"
        ) from None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _path() -> str:
    """PATH with this Python first, as dvc.yaml says `python`."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
