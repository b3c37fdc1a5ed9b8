from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from harness import FakeClock
from stores import APPID, HOST, W1, W2, W3, reading, version_1
from structlog.testing import capture_logs

from exporter.apps import LastResult, State
from exporter.periods import Day, Month, Week
from exporter.reports import DAILY, MONTHLY, WEEKLY, WEEKLY_RETENTION, History, Reading, StoredReading
from exporter.store import Change, Lock, Locked, Store, StoredState, UnavailablePeriod
from exporter.store.files import DATABASE
from exporter.store.lock import LOCK
from exporter.store.schema import APPLICATION_ID, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.reports import Report

ROOT = Path(__file__).parent.parent
RESULT = LastResult(W3, State.FAILED, 5.0, 4.0, "other", "a message", 3, 2.0, history_stopped=True, succeeded=1.0)
NOW = 1_795_000_000.0


def change(what: StoredReading | UnavailablePeriod | LastResult, appid: str = APPID) -> Change:
    return Change(appid, WEEKLY, what)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    stores = []

    def open_store(folder: Path | str = tmp_path, host: str = HOST, clock: Callable[[], float] | None = None) -> Store:
        stores.append(Store(str(folder), host, clock or FakeClock(NOW)))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def state(*weeks: StoredReading, **more: object) -> StoredState:
    """Return the state that the store returns for these weeks."""
    known = StoredState(History.of(WEEKLY, weeks), stored=frozenset(week.reading.period for week in weeks))
    return replace(known, **more)


def known(store: Store, appid: str = APPID) -> StoredState:
    return store.read(appid, WEEKLY, 520)


def live(store: Store) -> StoredReading | None:
    """Return the live week of the app in the form in which it is saved."""
    history = known(store).history
    found = None if history.live is None else history.reading(history.live)
    return None if found is None else StoredReading(found, history.first_seen)


def test_a_restart_keeps_everything(opened: Callable[..., Store]) -> None:
    everything = (
        change(reading(W3)),
        change(reading(W2, 0)),
        change(UnavailablePeriod(W1, 7.0, final=True)),
        change(RESULT),
    )
    opened().save(everything)
    expected = state(
        reading(W3), reading(W2, 0), last_result=RESULT, unavailable=(UnavailablePeriod(W1, 7.0, final=True),)
    )
    assert known(opened()) == expected


def test_nothing_is_known_of_an_app_never_fetched(opened: Callable[..., Store]) -> None:
    store = opened()
    assert known(store) == state()
    store.save([change(RESULT)])
    assert known(store, "wxother") == state()
    assert known(store) == state(last_result=RESULT)


def test_zero_stays_zero_and_missing_stays_missing(opened: Callable[..., Store]) -> None:
    store = opened()
    store.save([change(reading(W3, None))])
    current = live(store)
    assert current is not None
    assert current.reading.values == (2470, 8913, None, None, 226.4748, 69.5, 0)


def test_a_revision_replaces_the_row_and_ends_unavailable(opened: Callable[..., Store]) -> None:
    store = opened()
    store.save([change(reading(W3)), change(UnavailablePeriod(W2, 1.0, final=False))])
    revised = StoredReading(Reading(WEEKLY, W3, (1, None, None, None, None, None, None)), 1.0)
    store.save([change(revised), change(reading(W2))])
    assert known(store) == state(revised, reading(W2))


def test_a_gap_between_weeks_stays_a_gap(opened: Callable[..., Store]) -> None:
    store = opened()
    store.save([change(reading(W3)), change(reading(W1))])
    history = known(store).history
    assert [history.reading(week) for week in (W3, W2, W1)] == [reading(W3).reading, None, reading(W1).reading]


@pytest.mark.parametrize("wanted", [2, 8, 26, 52, 200])
def test_every_week_is_kept_and_the_newest_are_read(opened: Callable[..., Store], wanted: int) -> None:
    """All periods of the lookback are read, even if fewer are wanted."""
    store = opened()
    weeks = [W3.before(number) for number in range(120)]
    store.save([change(reading(week)) for week in weeks])
    found = store.read(APPID, WEEKLY, wanted)
    assert found.stored == set(weeks[: max(wanted, 26)])
    assert found.history == History.of(WEEKLY, map(reading, weeks[:26]))
    assert known(store).stored == set(weeks)


def test_figures_of_different_hosts_never_mix(opened: Callable[..., Store]) -> None:
    opened(host="127.0.0.1:1234").save([change(reading(W3, 1)), change(RESULT)])
    assert known(opened()) == state()


def test_the_directory_is_created_and_its_files_are_private(opened: Callable[..., Store], tmp_path: Path) -> None:
    folder = tmp_path / "some" / "where"
    opened(folder).save([change(reading(W3))])
    assert stat.S_IMODE((folder / DATABASE).stat().st_mode) == 0o600
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())


def cohort(week: Week, *later: int) -> StoredReading:
    """A cohort of 100 visitors; of the new ones nothing is known."""
    parts = tuple(("visit_uv", str(key), value) for key, value in enumerate(later, 1))
    return StoredReading(Reading(WEEKLY_RETENTION, week, (100, None), parts), 1.0)


def test_parts_of_figures_are_kept_and_checked(opened: Callable[..., Store], tmp_path: Path) -> None:
    opened().save([Change(APPID, WEEKLY_RETENTION, cohort(W3, 50, 40, 30, 20))])
    found = opened().read(APPID, WEEKLY_RETENTION, 9)
    assert found.history == History.of(WEEKLY_RETENTION, [cohort(W3, 50, 40, 30, 20)])
    assert found.history.reading(W3) == cohort(W3, 50, 40, 30, 20).reading
    assert found.stored == {W3}
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db, db:
        db.execute("UPDATE figure SET value = 51 WHERE dimension = '1'")
    with capture_logs() as logs:
        assert opened().read(APPID, WEEKLY_RETENTION, 9).stored == frozenset()
    assert [line["event"] for line in logs] == ["stored data damaged"]


@pytest.mark.parametrize("key", [b"1", "٣", "01", "-1", "9" * 5000], ids=lambda key: repr(key)[:9])
def test_part_with_an_invalid_key_counts_as_missing(opened: Callable[..., Store], tmp_path: Path, key: object) -> None:
    """Its checksum may be right: those of a database of schema version 1 are computed from what it contains."""
    opened().save([Change(APPID, WEEKLY_RETENTION, each) for each in (cohort(W3, 50), cohort(W2, 1, 2, 3, 4))])
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        db.execute("UPDATE figure SET dimension = ? WHERE value = 50", (key,))
        db.commit()
        db.executescript("PRAGMA user_version = 1; ALTER TABLE reading DROP COLUMN checksum")
    with capture_logs() as logs:
        found = opened().read(APPID, WEEKLY_RETENTION, 9)
    assert (found.damaged, found.history.live) == (("period 20261116",), W2)
    assert [line["event"] for line in logs] == ["stored data damaged"]


def test_cohort_is_stored_complete_with_its_last_week(opened: Callable[..., Store]) -> None:
    """An incomplete one is in the history, but is not among the complete periods."""
    store = opened()
    store.save([Change(APPID, WEEKLY_RETENTION, each) for each in (cohort(W3, 50), cohort(W2, 1, 2, 3, 4))])
    found = opened().read(APPID, WEEKLY_RETENTION, 9)
    assert found.stored == {W2}
    assert found.history.live == W3
    store.save([Change(APPID, WEEKLY_RETENTION, cohort(W3, 50, 40, 30, 20))])
    assert opened().read(APPID, WEEKLY_RETENTION, 9).stored == {W2, W3}


def test_in_memory_nothing_is_written(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened(":memory:")
    store.save([change(reading(W3))])
    store.reopen_if_due()
    assert live(store) == reading(W3)
    assert store.problem == ""
    assert list(tmp_path.iterdir()) == []


def test_the_file_has_application_id_and_schema_version(opened: Callable[..., Store], tmp_path: Path) -> None:
    opened()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_a_file_of_a_newer_version_is_left_unchanged(opened: Callable[..., Store], tmp_path: Path) -> None:
    opened().save([change(reading(W3))])
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = (tmp_path / DATABASE).read_bytes()
    with capture_logs() as logs:
        store = opened()
    assert "written by a newer version" in store.problem
    assert f"version is {VERSION + 1}" in store.problem
    assert [line["log_level"] for line in logs] == ["error"]
    store.save([change(reading(W2))])
    assert live(store) == reading(W2)
    assert (tmp_path / DATABASE).read_bytes() == before


@pytest.mark.parametrize("content", [b"this is no database at all, " * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_corrupt_file_is_moved_aside_and_recreated(
    opened: Callable[..., Store], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / DATABASE).write_bytes(content)
    for companion in ("-wal", "-journal"):
        (tmp_path / f"{DATABASE}{companion}").write_bytes(b"left over")
    with capture_logs() as logs:
        store = opened()
    assert store.problem == ""
    store.save([change(reading(W3))])
    assert live(store) == reading(W3)
    aside = tmp_path / f"{DATABASE}.corrupt-20261118T110640Z"
    assert aside.read_bytes() == content
    assert [line["log_level"] for line in logs] == ["error"]
    assert logs[0]["moved_to"] == str(aside)


def test_two_corrupt_files_in_one_second_are_both_kept(opened: Callable[..., Store], tmp_path: Path) -> None:
    for content in (b"first " * 500, b"second " * 500):
        (tmp_path / DATABASE).write_bytes(content)
        opened().close()
        for companion in tmp_path.glob(f"{DATABASE}-*"):
            companion.unlink()
    found = {path.read_bytes()[:5] for path in tmp_path.glob(f"{DATABASE}.corrupt-*Z*") if path.stat().st_size > 1000}
    assert found == {b"first", b"secon"}


def test_corruption_found_by_a_writer_moves_the_file_aside(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened()
    store.save([change(reading(W1))])
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file = tmp_path / DATABASE
    file.write_bytes(b"\xff" * file.stat().st_size)
    store._db.close()
    store._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    with capture_logs() as logs:
        store.save([change(reading(W3))])
    assert store.problem == ""
    assert known(store).stored == {W3}
    assert len(list(tmp_path.glob("*.corrupt-*"))) >= 1
    assert [line["event"] for line in logs] == ["corrupt store moved aside", "store reopened"]


def test_corruption_found_by_a_reader_moves_the_file_aside(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened()
    store.save([change(reading(W1))])
    store._db.close()
    for path in tmp_path.iterdir():
        path.write_bytes(b"\xff" * 8192)
    store._db = sqlite3.connect(tmp_path / DATABASE, isolation_level=None, check_same_thread=False)
    with capture_logs() as logs:
        assert known(store) == state()
    assert [line["event"] for line in logs] == ["corrupt store moved aside", "store reopened"]


def test_an_unusable_file_is_retried_without_logging(opened: Callable[..., Store], tmp_path: Path) -> None:
    (tmp_path / DATABASE).mkdir()
    clock = FakeClock(NOW)
    store = opened(clock=clock)
    assert "is not a regular file" in store.problem
    store.save([change(reading(W3))])
    with capture_logs() as logs:
        for _ in range(3):
            clock.now += 61
            store.reopen_if_due()
    assert logs == []
    assert live(store) == reading(W3)
    (tmp_path / DATABASE).rmdir()
    clock.now += 61
    store.reopen_if_due()
    assert store.problem == ""
    assert live(opened()) == reading(W3)


DAMAGE = [
    ("UPDATE answer SET state = 'rate_limited'", "last result"),
    ("UPDATE answer SET at = 'x'", "last result"),
    ("UPDATE answer SET failures = 'x'", "last result"),
    ("UPDATE answer SET succeeded = 1e300", "last result"),
    ("UPDATE answer SET since = -1", "last result"),
    ("UPDATE answer SET retry_after = 9e999", "last result"),
    ("UPDATE answer SET period = 5", "last result"),
    ("UPDATE miss SET at = -1", "missing period 20261102"),
    ("UPDATE miss SET period = 20261103", "missing period 20261103"),
    ("UPDATE figure SET value = 'abc' WHERE value = 754", "period 20261116"),
    ("UPDATE figure SET value = 9e999 WHERE value = 754", "period 20261116"),
    ("UPDATE figure SET value = -5 WHERE value = 754", "period 20261116"),
    ("UPDATE figure SET value = 755 WHERE value = 754", "period 20261116"),
    ("DELETE FROM figure WHERE value = 754", "period 20261116"),
    ("DELETE FROM figure", "period 20261116"),
    ("UPDATE reading SET first_seen = 2", "period 20261116"),
    ("UPDATE term SET name = 'visit_ux' WHERE name = 'visit_uv'", "period 20261116"),
    ("PRAGMA foreign_keys = OFF; UPDATE reading SET period = 99991227", "period 99991227"),
    ("PRAGMA foreign_keys = OFF; UPDATE reading SET period = 20261117", "period 20261117"),
    ("PRAGMA foreign_keys = OFF; UPDATE reading SET period = 20261109", "period 20261109"),
    (
        """UPDATE figure SET value = 9e999 WHERE value = 754;
        PRAGMA user_version = 1; ALTER TABLE reading DROP COLUMN checksum""",
        "period 20261116",
    ),
]


@pytest.mark.parametrize(("damage", "description"), DAMAGE)
def test_damaged_rows_count_as_missing(
    opened: Callable[..., Store], tmp_path: Path, damage: str, description: str
) -> None:
    """A row with an impossible or changed value counts as missing and is logged; others stay."""
    store = opened()
    store.save([change(reading(W3)), change(RESULT), change(UnavailablePeriod(W1, 7.0, final=True))])
    store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        db.executescript(damage)
    with capture_logs() as logs:
        store = opened()
        found = known(store)
    assert found.damaged == (description,)
    assert found.last_result == (None if description == "last result" else RESULT)
    assert found.stored == (frozenset() if description.startswith("period") else {W3})
    assert {each.period for each in store.periods(APPID, WEEKLY)} == found.stored
    assert found.unavailable == (() if description.startswith("missing") else (UnavailablePeriod(W1, 7.0, final=True),))
    assert [(line["event"], line["damaged"]) for line in logs] == [("stored data damaged", description)]
    assert list(tmp_path.glob("*.corrupt-*")) == []
    store.save([change(reading(W3)), change(RESULT)])
    assert (live(store), known(store).last_result) == (reading(W3), RESULT)


def test_invalid_utf8_is_read_with_replacement_characters(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened()
    store.save([change(reading(W3)), change(RESULT)])
    store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db, db:
        db.execute("UPDATE answer SET message = CAST(x'41ff' AS TEXT)")
    assert known(opened()).last_result == replace(RESULT, message="A\ufffd")


def test_a_missing_table_is_corruption(opened: Callable[..., Store], tmp_path: Path) -> None:
    opened().close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db, db:
        db.execute("DROP TABLE miss")
    with capture_logs() as logs:
        assert opened().problem == ""
    assert [line["event"] for line in logs] == ["corrupt store moved aside"]


def test_no_corrupt_byte_of_the_first_page_stops_the_store(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened()
    store.save([change(reading(W3)), change(RESULT)])
    store.close()
    good = (tmp_path / DATABASE).read_bytes()
    for place in range(0, 4096, 37):
        folder = tmp_path / str(place)
        folder.mkdir()
        (folder / DATABASE).write_bytes(good[:place] + bytes([good[place] ^ 0xDB]) + good[place + 1 :])
        with capture_logs():
            store = opened(folder)
            known(store)
            store.save([change(reading(W2))])
            assert W2 in known(store).stored
            store.close()


def test_a_file_removed_while_running_is_recreated(opened: Callable[..., Store], tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    store = opened(clock=clock)
    store.save([change(reading(W3)), change(RESULT)])
    for path in tmp_path.iterdir():
        path.unlink()
    clock.now += 61
    with capture_logs() as logs:
        store.reopen_if_due()
    assert [line["event"] for line in logs] == ["store reopened"]
    assert store.problem == ""
    assert known(opened()) == known(store) == state(reading(W3), last_result=RESULT)


def test_a_file_that_cannot_be_recreated_stays_in_memory(opened: Callable[..., Store], tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    store = opened(clock=clock)
    store.save([change(reading(W3))])
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / DATABASE).mkdir()
    clock.now += 61
    with capture_logs():
        store.reopen_if_due()
    assert "is not a regular file" in store.problem
    assert live(store) == reading(W3)


def test_a_closed_store_writes_nothing(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened()
    store.save([change(reading(W3))])
    store.close()
    store.save([change(reading(W2))])
    store.reopen_if_due()
    assert list(tmp_path.glob("*.corrupt-*")) == []
    assert known(opened()).stored == {W3}


def test_a_full_disk_is_logged_once_and_caught_up_later(
    opened: Callable[..., Store],
) -> None:
    clock = FakeClock(NOW)
    store = opened(clock=clock)
    store.save([change(reading(W1))])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    weeks = [W3.before(number) for number in range(200)]
    with capture_logs() as logs:
        store.save([change(reading(week)) for week in weeks])
        store.save([change(RESULT)])
    assert "database or disk is full" in store.problem
    assert [line["log_level"] for line in logs] == ["error"]
    assert known(store).stored == set(weeks)
    assert known(store).last_result == RESULT
    store.reopen_if_due()
    assert store.problem != ""
    clock.now += 61
    with capture_logs() as logs:
        store.reopen_if_due()
    assert store.problem == ""
    assert [line["event"] for line in logs] == ["store reopened"]
    assert known(opened()) == known(store)
    assert known(store).stored == set(weeks)


def test_a_real_full_disk_is_survived(opened: Callable[..., Store], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", disk], check=False).returncode
    ):
        pytest.skip("a small disk can be mounted only by root")
    try:
        store = opened(disk)
        (disk / "ballast").write_bytes(b"x" * (300 << 10))
        for year in range(40):
            store.save([change(reading(W3.before(52 * year + number), year)) for number in range(52)])
        assert "full" in store.problem
        assert len(known(store).stored) == 520
        store.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


READ_ONLY = """
import sys
from pathlib import Path
from exporter import logs
from exporter.reports import WEEKLY
from exporter.store import Store, Lock
logs.configure("info", "logfmt")
store = Store(sys.argv[1], "api.weixin.qq.com", lambda: 0.0)
print(store.problem)
history = store.read("wx0123456789abcdef", WEEKLY, 8).history
print(history.live, history.reading(history.live).values, history.first_seen)
Lock(Path(sys.argv[1]))
"""


def leave_journal(folder: Path) -> None:
    """Leave the journal of a transaction, as after a crash in its middle."""
    copies = {}
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 1")  # pages reach the file before the commit
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO subject (host, appid) VALUES ('h', ?)", [(f"{n}{'x' * 200}",) for n in range(3000)])
        copies = {path: path.read_bytes() for path in folder.iterdir()}
        db.execute("ROLLBACK")
    assert f"{DATABASE}-journal" in {path.name for path in copies}
    for path, content in copies.items():
        path.write_bytes(content)


@pytest.mark.parametrize("crashed", [False, True], ids=["", "with the journal of a crash"])
def test_a_read_only_directory_is_read_and_kept_in_memory(
    opened: Callable[..., Store], tmp_path: Path, crashed: bool
) -> None:
    folder = tmp_path / "store"
    store = opened(folder)
    store.save([change(reading(W3))])
    store.close()
    if crashed:
        leave_journal(folder)
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    command = [sys.executable, "-c", READ_ONLY, str(folder)]
    if os.geteuid() == 0:  # which may write everywhere except on a read-only mount
        remount = 'mount -o bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", remount, str(folder), *command]
        if subprocess.run([*command[:6], "true"], capture_output=True, check=False).returncode:
            pytest.skip("neither a user without rights nor a read-only mount can be had")
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    folder.chmod(0o755)
    problem, current = result.stdout.splitlines()
    assert "is unavailable" in problem
    expected = reading(W3)
    assert current == f"{W3} {(*expected.reading.values[:-1], 0.0)} {expected.first_seen}"
    assert 'msg="storage lock unsupported"' in result.stderr
    assert 'msg="store unavailable, continuing in memory"' in result.stderr


def test_a_locked_file_loses_nothing_that_was_stored(opened: Callable[..., Store], tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = opened(folder)
    store.save([change(reading(W2))])
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as other, capture_logs() as logs:
        other.execute("BEGIN EXCLUSIVE")
        store.save([change(reading(W3))])
        assert "database is locked" in store.problem
        assert store.read(APPID, WEEKLY, 9).stored == {W2, W3}
        assert opened(folder).read(APPID, WEEKLY, 9).stored == {W2}
    assert {entry["event"] for entry in logs} == {"store unavailable, continuing in memory"}


AS_NOBODY = """
import os, sys
from exporter.store import Store
if os.geteuid() == 0:
    try:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    except OSError:
        sys.exit("cannot become nobody")
print(Store("store", "api.weixin.qq.com", lambda: 0.0).problem)
"""


@pytest.mark.parametrize(
    ("closed", "problem"),
    [
        ("store/store.sqlite3", "store/store.sqlite3 is unavailable: Permission denied"),
        ("store", "storage directory store is unavailable: Permission denied"),
    ],
    ids=["file", "directory"],
)
def test_the_file_or_directory_without_permission_is_named(
    opened: Callable[..., Store], closed: str, problem: str
) -> None:
    """The file alone is closed if a backup was restored by another user."""
    with tempfile.TemporaryDirectory() as name:  # one that others may enter, unlike those of pytest
        folder = Path(name)
        folder.chmod(0o755)
        opened(folder / "store").close()
        for path in (folder / "store", *(folder / "store").iterdir()):
            path.chmod(0o777)
        (folder / closed).chmod(0)
        result = subprocess.run(
            [sys.executable, "-c", AS_NOBODY],
            cwd=folder,
            env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if "cannot become nobody" in result.stderr:
        pytest.skip("root here may not become nobody")
    assert result.stdout.splitlines()[-1:] == [problem], result.stderr


def test_only_one_exporter_runs_on_a_directory(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "new")
    assert (tmp_path / "new" / LOCK).exists()
    with pytest.raises(Locked, match="another exporter runs on"):
        Lock(tmp_path / "new")
    lock.close()
    Lock(tmp_path / "new").close()


def test_two_processes_can_write_to_one_file(opened: Callable[..., Store]) -> None:
    exporter, fetch = opened(), opened()
    for number in range(20):
        exporter.save([change(reading(W3.before(number)))])
        fetch.save([change(replace(RESULT, at=float(number)), "wxother")])
    assert exporter.problem == fetch.problem == ""
    assert len(known(fetch).stored) == 20


PERIODS = {WEEKLY: W3, DAILY: Day(date(2026, 11, 24)), MONTHLY: Month(date(2026, 10, 1))}
VALUES = (2470, 8913, 754, None, 226.4748, 69.5, 0)


def rows(report: Report, number: int) -> list[StoredReading]:
    """Return the newest periods of a report, each with figures of its own."""
    newest = PERIODS[report]
    return [
        StoredReading(Reading(report, newest.before(back), (back, *VALUES[1:])), float(back)) for back in range(number)
    ]


def test_the_reports_of_an_app_are_kept_apart(opened: Callable[..., Store]) -> None:
    """A day may begin on the same date as a week or a month."""
    store = opened()
    for report, newest in PERIODS.items():
        store.save([Change(APPID, report, each) for each in rows(report, 40)])
        store.save([Change(APPID, report, LastResult(newest, State.OK, 5.0, 4.0, message=report.name))])
        lost = UnavailablePeriod(newest.before(40), 7.0, final=True)
        store.save([Change(APPID, report, lost)])
    for known_to in (store, opened()):
        for report, newest in PERIODS.items():
            found = known_to.read(APPID, report, 500)
            assert found.history == History.of(report, rows(report, 40))
            assert found.stored == {newest.before(back) for back in range(40)}
            assert found.last_result == LastResult(newest, State.OK, 5.0, 4.0, message=report.name)
            assert found.unavailable == (UnavailablePeriod(newest.before(40), 7.0, final=True),)
            assert found.damaged == ()


@pytest.mark.parametrize("folder", ["file", ":memory:"])
def test_periods_are_all_or_those_of_a_range(opened: Callable[..., Store], tmp_path: Path, folder: str) -> None:
    store = opened(tmp_path if folder == "file" else folder)
    for report, newest in PERIODS.items():
        store.save([Change(APPID, report, each) for each in rows(report, 300)])
        expected = tuple(reversed(rows(report, 300)))
        assert store.periods(APPID, report) == expected
        first, last = newest.before(200), newest.before(10)
        assert store.periods(APPID, report, first, last) == expected[99:290]
        assert store.periods(APPID, report, first) == expected[99:]
        assert store.periods(APPID, report, None, last) == expected[:290]
        assert store.periods(APPID, report, newest.after()) == ()
        assert store.periods("wxother", report) == ()
    store.use_host("elsewhere")
    assert store.periods(APPID, WEEKLY) == ()
    store.close()
    assert store.periods(APPID, WEEKLY) == ()


def test_periods_stay_readable_after_the_file_is_replaced(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened()
    store.save([change(reading(W2))])
    (tmp_path / DATABASE).unlink()
    store.save([change(reading(W3))])
    assert store.problem
    assert store.periods(APPID, WEEKLY) == (reading(W2), reading(W3))


def test_nothing_is_known_of_a_report_never_fetched(opened: Callable[..., Store]) -> None:
    store = opened()
    store.save([change(reading(W3)), change(RESULT)])
    assert store.read(APPID, DAILY, 63) == StoredState(History(DAILY))


def test_a_damaged_report_leaves_the_others_intact(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened()
    for report in PERIODS:
        store.save([Change(APPID, report, each) for each in rows(report, 3)])
    store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db, db:
        db.execute(
            "UPDATE figure SET value = 9 WHERE period = 20261123 AND value = 754"
            " AND report = (SELECT id FROM term WHERE name = 'daily')"
        )
    store = opened()
    with capture_logs() as logs:
        found = {report: store.read(APPID, report, 3) for report in PERIODS}
    assert {report.name: state.damaged for report, state in found.items()} == {
        "weekly": (),
        "daily": ("period 20261123",),
        "monthly": (),
    }
    assert [len(state.stored) for state in found.values()] == [3, 2, 3]
    assert [(line["event"], line["report"]) for line in logs] == [("stored data damaged", "daily")]


def test_unsaved_changes_of_all_reports_reach_the_file(opened: Callable[..., Store], tmp_path: Path) -> None:
    (tmp_path / DATABASE).mkdir()
    clock = FakeClock(NOW)
    store = opened(clock=clock)
    for report, newest in PERIODS.items():
        store.save([Change(APPID, report, each) for each in rows(report, 3)])
        store.save([Change(APPID, report, LastResult(newest, State.OK, 5.0, 4.0))])
    (tmp_path / DATABASE).rmdir()
    clock.now += 61
    store.reopen_if_due()
    for report, newest in PERIODS.items():
        found = opened().read(APPID, report, 3)
        assert found.history == History.of(report, rows(report, 3))
        assert found.last_result == LastResult(newest, State.OK, 5.0, 4.0)


def test_a_store_of_schema_version_1_opens_with_all_weeks(opened: Callable[..., Store], tmp_path: Path) -> None:
    assert VERSION == 2
    written = version_1(tmp_path, 60)
    with capture_logs() as logs:
        store = opened()
        found = known(store)
    assert logs == []
    assert found == StoredState(
        History.of(WEEKLY, written),
        LastResult(W3, State.OK, 5.0, 4.0, succeeded=5.0),
        frozenset(each.period for each in written),
        (UnavailablePeriod(W3.before(60), 7.0, final=True),),
    )
    assert len(found.stored) == 60
    store.save([Change(APPID, DAILY, each) for each in rows(DAILY, 3)])
    again = opened()
    assert known(again) == found
    assert again.read(APPID, DAILY, 3).history == History.of(DAILY, rows(DAILY, 3))
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert db.execute("SELECT count(*) FROM reading WHERE checksum IS NULL").fetchone() == (0,)
