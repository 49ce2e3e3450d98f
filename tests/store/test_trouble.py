"""What a writer says while the disk refuses its log, where no room is left to say it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

from log.logs import Disk
from store.stores import RUN, run_cells, titled, wait_until

from ipysession.log import SyncPolicy
from ipysession.store.trouble import TroubleNote, read_trouble


def test_readers_are_told_as_long_as_the_disk_refuses(store, monkeypatch):
    """In the system's words; the caller is told, too, and nothing stays after the session."""
    told = []
    writer = store.create(titled("T"), on_trouble=told.append)
    writer.append(RUN)
    folder = store.folder(writer.id)
    assert (writer.trouble, folder.trouble()) == (None, None)
    disk = Disk(monkeypatch, folder.log_folder)
    disk.broken["write"] = errno.ENOSPC
    run_cells(writer, 1)
    wait_until(lambda: told)
    assert writer.trouble == os.strerror(errno.ENOSPC)
    assert folder.trouble() == writer.trouble
    disk.broken.clear()
    wait_until(lambda: len(told) == 2)
    assert (writer.trouble, folder.trouble()) == (None, None)
    assert writer.close()
    assert not folder.trouble_path.exists()


FULL = """
import errno, os, sys
from pathlib import Path
from ipysession.store.trouble import TroubleNote, read_trouble

path = Path(sys.argv[1])
note = TroubleNote(path)
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
note.say("no space, é " + "x" * 1000)
assert read_trouble(path).startswith("no space, é x"), path.read_bytes()
note.say(None)
assert read_trouble(path) is None
"""


def test_it_takes_no_more_room_than_it_took_at_first(tmp_path):
    """A file that may not grow is written over."""
    command = [sys.executable, "-c", FULL, str(tmp_path / "trouble")]
    subprocess.run(command, check=True, timeout=60)


def test_what_a_killed_writer_left_is_no_news(store, monkeypatch):
    """Neither to a reader, who asks only about sessions that are written, nor to the next."""
    writer = store.create(titled("T"), policy=SyncPolicy.OFF)
    writer.append(RUN)
    path = store.folder(writer.id).trouble_path
    writer.close()
    TroubleNote(path).say("of before")
    again = store.open_for_append(writer.id)
    assert store.folder(writer.id).trouble() is None
    again.close()


def test_what_is_not_ours_says_nothing(tmp_path):
    """A link, a folder, other text."""
    path = tmp_path / "trouble"
    assert read_trouble(path) is None
    for text in ("", "{", "[]", '{"trouble"', '"x"', "[" * 600):
        path.write_text(text)
        assert read_trouble(path) is None
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert read_trouble(path) is None
    TroubleNote(tmp_path / "no" / "folder").say("nobody hears it, and nothing is raised")
