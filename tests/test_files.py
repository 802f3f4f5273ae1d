"""A file is never half there: not after a fault of the file system, not after kill -9."""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minisam import files
from minisam.errors import MinisamError
from minisam.files import remove_leftovers, write_atomically

OLD, NEW = b"old" * 1000, b"new" * 50_000


def fail(code: int) -> Callable:
    def call(*args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


class FaultyRaw(io.FileIO):
    """A raw file that takes at most 1000 bytes a write, and raises `code` once `limit` bytes are written."""

    def __init__(self, path: Path, mode: str, limit: int, code: int, close_fails: bool) -> None:
        super().__init__(path, mode)
        self.limit, self.code, self.close_fails, self.written = limit, code, close_fails, 0

    def write(self, data: memoryview) -> int:
        if self.written >= self.limit:
            raise OSError(self.code, os.strerror(self.code))
        count = super().write(bytes(data)[:1000])
        self.written += count
        return count

    def close(self) -> None:
        was_open = not self.closed
        super().close()
        if was_open and self.close_fails:
            raise OSError(self.code, os.strerror(self.code))


def faulty_open(limit: int, code: int = errno.ENOSPC, close_fails: bool = False) -> Callable:
    return lambda path, mode: io.BufferedWriter(
        FaultyRaw(path, mode.replace("b", ""), limit, code, close_fails)
    )


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_and_replaces(tmp_path: Path):
    for content in (OLD, NEW, b""):
        write_atomically(tmp_path / "a", lambda file, content=content: file.write(content))
        assert (tmp_path / "a").read_bytes() == content
    assert files_in(tmp_path) == ["a"]


SITES = ["open", "write at once", "write halfway", "close", "fsync", "replace", "open folder"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize(
    ("site", "existed"),
    [(site, existed) for site in SITES for existed in (True, False)] + [("copymode", True)],
)
def test_a_fault_at_any_call_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, site, code, existed):
    path = tmp_path / "a"
    if existed:
        path.write_bytes(OLD)
    faults = {
        "open": (files, "open", fail(code)),
        "write at once": (files, "open", faulty_open(0, code)),
        "write halfway": (files, "open", faulty_open(70_000, code)),
        "close": (files, "open", faulty_open(10**9, code, close_fails=True)),
        "copymode": (files.shutil, "copymode", fail(code)),
        "fsync": (files.os, "fsync", fail(code)),
        "replace": (files.os, "replace", fail(code)),
        "open folder": (files.os, "open", fail(code)),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*faults[site], raising=False)
        with pytest.raises(OSError, match=r"/a'") as caught:
            write_atomically(path, lambda file: file.write(NEW))
    assert caught.value.errno == code
    if site == "open folder":
        assert path.read_bytes() == NEW
    elif existed:
        assert path.read_bytes() == OLD
    assert files_in(tmp_path) == (["a"] if existed or site == "open folder" else [])


@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.parametrize("code", [errno.EIO, errno.EINVAL])
def test_failed_fsync_of_the_file_or_its_folder(tmp_path: Path, monkeypatch, which: int, code: int):
    (tmp_path / "a").write_bytes(OLD)
    calls = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == which:
            fail(code)()

    monkeypatch.setattr(files.os, "fsync", fsync)
    folder_cannot = which == 2 and code == errno.EINVAL
    if folder_cannot:
        write_atomically(tmp_path / "a", lambda file: file.write(NEW))
    else:
        with pytest.raises(OSError):
            write_atomically(tmp_path / "a", lambda file: file.write(NEW))
    assert (tmp_path / "a").read_bytes() == (OLD if which == 1 else NEW)
    assert len(calls) == which
    assert files_in(tmp_path) == ["a"]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(files, "open", faulty_open(10**9), raising=False)
    write_atomically(tmp_path / "a", lambda file: file.write(NEW))
    assert (tmp_path / "a").read_bytes() == NEW


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_of_the_writer_leaves_the_old_file(tmp_path: Path, error: type[BaseException]):
    (tmp_path / "a").write_bytes(OLD)

    def write(file: io.BufferedWriter) -> None:
        file.write(NEW)
        raise error

    with pytest.raises(error):
        write_atomically(tmp_path / "a", write)
    assert (tmp_path / "a").read_bytes() == OLD and files_in(tmp_path) == ["a"]


def test_bytes_are_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch):
    order = []
    for module, name in [(os, "fsync"), (os, "replace"), (builtins, "open")]:
        real = getattr(module, name)
        target = files if module is builtins else files.os
        monkeypatch.setattr(
            target,
            name,
            lambda *args, real=real, name=name: (order.append(name), real(*args))[1],
            raising=False,
        )
    write_atomically(tmp_path / "a", lambda file: file.write(NEW))
    assert order == ["open", "fsync", "replace", "fsync"]


def test_permissions_are_kept_and_new_files_follow_the_umask(tmp_path: Path):
    (tmp_path / "a").write_bytes(OLD)
    (tmp_path / "a").chmod(0o640)
    (tmp_path / "plain").write_bytes(OLD)
    for name in ("a", "b"):
        write_atomically(tmp_path / name, lambda file: file.write(NEW))
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "b").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_symbolic_link_stays_one(tmp_path: Path):
    (tmp_path / "store").mkdir()
    for name in ("there", "not_yet"):
        (tmp_path / name).symlink_to(Path("store") / name)
    (tmp_path / "store" / "there").write_bytes(OLD)
    for name in ("there", "not_yet"):
        write_atomically(tmp_path / name, lambda file: file.write(NEW))
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "store" / name).read_bytes() == NEW


def test_what_cannot_be_replaced_is_refused(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for name, words in [("folder", "folder"), ("loop", "itself"), ("pipe", "pipe"), ("/dev/null", "device")]:
        with pytest.raises(MinisamError, match=words):
            write_atomically(tmp_path / name, lambda file: file.write(NEW))
    assert Path("/dev/null").is_char_device()
    with pytest.raises(FileNotFoundError, match=r"nowhere/a'"):
        write_atomically(tmp_path / "nowhere" / "a", lambda file: file.write(NEW))
    assert files_in(tmp_path) == ["folder", "loop", "pipe"]


# For each line it is given: fork a process that saves without end, and report that it was killed.
SAVE_FOREVER = """
import os, sys
from minisam.files import remove_leftovers, write_atomically
for _ in sys.stdin:
    child = os.fork()
    number = 0
    while not child:
        number = (number + 1) % 256
        write_atomically(sys.argv[1], lambda file: [file.write(bytes([number]) * 100_000) for _ in range(10)])
        if number == 1:
            print(os.getpid(), flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


def kill_while_saving(folder: Path, kills: int) -> int:
    """Returns at how many kills a temporary file was left, that is, the kill came in the middle of a save."""
    path = folder / "a"
    rng = np.random.default_rng(0)
    interrupted = 0
    command = [sys.executable, "-c", SAVE_FOREVER, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[1])}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as launcher:
        assert launcher.stdin is not None and launcher.stdout is not None
        for _ in range(kills):
            launcher.stdin.write("\n")
            launcher.stdin.flush()
            child = int(launcher.stdout.readline())
            time.sleep(rng.random() * 0.03)
            os.kill(child, signal.SIGKILL)
            assert launcher.stdout.readline() == "dead\n"
            content = path.read_bytes()
            assert len(content) == 1_000_000 and content == content[:1] * 1_000_000
            left = [other for other in folder.iterdir() if other != path]
            assert all(other.name.startswith(".minisam-") and other.suffix == ".tmp" for other in left)
            interrupted += bool(left)
            for other in left:
                other.unlink()
    return interrupted


def test_kill_while_saving_leaves_a_whole_file(tmp_path: Path):
    assert kill_while_saving(tmp_path, 10) > 0


@pytest.mark.slow
def test_many_kills_while_saving_leave_a_whole_file(tmp_path: Path):
    assert kill_while_saving(tmp_path, 300) > 100


LEFT = ".minisam-0123456789abcdef.tmp"


def test_what_a_killed_writer_left_goes_and_what_others_wrote_stays(tmp_path: Path):
    theirs = [".minisam-notes.tmp", "minisam-0123456789abcdef.tmp", ".minisam-0123456789abcdef.png"]
    for name in (LEFT, *theirs):
        (tmp_path / name).write_bytes(OLD)
    (tmp_path / ".minisam-ffffffffffffffff.tmp").symlink_to(tmp_path / theirs[0])
    write_atomically(tmp_path / "a", lambda file: file.write(NEW))
    assert files_in(tmp_path) == sorted([*theirs, "a", ".minisam-ffffffffffffffff.tmp"])


def test_what_is_being_written_stays(tmp_path: Path):
    def clean_up(file: io.BufferedWriter) -> None:
        file.write(NEW)
        remove_leftovers(tmp_path)

    write_atomically(tmp_path / "a", clean_up)
    assert (tmp_path / "a").read_bytes() == NEW and files_in(tmp_path) == ["a"]


def test_only_names_of_temporary_files_are_removed(tmp_path: Path):
    own = ".minisam-0123456789abcdef.tmp"
    others = (
        f"{own}.png",
        f"{own}2",
        f"my{own}",
        ".minisam-0123456789abcde.tmp",
        ".minisam-0123456789ABCDEF.tmp",
    )
    for name in (own, *others):
        (tmp_path / name).write_bytes(OLD)
    remove_leftovers(tmp_path)
    assert files_in(tmp_path) == sorted(others)


def test_a_temporary_file_that_is_taken_for_a_leftover_is_made_once_more(tmp_path: Path, monkeypatch):
    real, opened = open, []

    def open_and_clean_up(path: Path, mode: str) -> io.BufferedWriter:
        file = real(path, mode)
        opened.append(path)
        if len(opened) == 1:
            remove_leftovers(tmp_path)
        return file

    monkeypatch.setattr(files, "open", open_and_clean_up, raising=False)
    write_atomically(tmp_path / "a", lambda file: file.write(NEW))
    assert (tmp_path / "a").read_bytes() == NEW and len(opened) == 2 and files_in(tmp_path) == ["a"]


def test_without_locks_nothing_is_removed(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(files, "lock", fail(errno.ENOTSUP))
    (tmp_path / LEFT).write_bytes(OLD)
    write_atomically(tmp_path / "a", lambda file: file.write(NEW))
    assert files_in(tmp_path) == sorted([LEFT, "a"])


def test_an_error_names_the_file_and_no_other(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(files.os, "fsync", fail(errno.ENOSPC))
    with pytest.raises(OSError) as caught:
        write_atomically(tmp_path / "a", lambda file: file.write(NEW))
    assert str(caught.value) == f"[Errno 28] No space left on device: '{tmp_path / 'a'}'"


def test_a_library_that_hides_why_it_could_not_write(tmp_path: Path, monkeypatch):
    (tmp_path / "a").write_bytes(OLD)

    def write(file: io.BufferedWriter) -> None:
        try:
            for _ in range(9):
                file.write(NEW)
                file.flush()
        except OSError:
            raise RuntimeError("unexpected pos 6217600 vs 6217488") from None

    monkeypatch.setattr(files, "open", faulty_open(70_000), raising=False)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "a", write)
    assert (tmp_path / "a").read_bytes() == OLD and files_in(tmp_path) == ["a"]
