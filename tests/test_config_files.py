"""Configuration files that cannot be read."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from config_bad_row import MARKER, write

from exporter.config import ConfigError, Problem, file_signatures, load, write_atomically
from exporter.config.document import documents

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[1]
APP = "- {appid: wx0123456789abcdef, secret: x}\n"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert caught.value.problems == (Problem(str(path), None, "", "the file does not exist"),)
    assert str(caught.value) == f"{path}: the file does not exist"


def test_directory_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r": the file is a directory$"):
        load(tmp_path, {})


def test_a_pipe_without_a_writer_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match=r": the file is not a regular file but a pipe or a device$"):
        load(tmp_path / "config.yaml", {})


PATTERNS = ("apps.d/**/*.yaml", "apps.d/**", "*/one.yaml", "apps.d/one.yaml", "**/o?e.yaml", "./apps.d/../apps.d/*")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_symlink_loops_do_not_make_a_pattern_endless(tmp_path: Path, pattern: str) -> None:
    """Each directory is visited once, and a file that is reached by two paths is one file."""
    (tmp_path / "apps.d" / "deep").mkdir(parents=True)
    for link in ("a", "b"):
        (tmp_path / "apps.d" / link).symlink_to(".")
    (tmp_path / "apps.d" / "deep" / "up").symlink_to("..")
    (tmp_path / "apps.d" / "one.yaml").write_text(APP)
    (tmp_path / "apps.d" / "same.yaml").symlink_to("one.yaml")
    (tmp_path / "apps.d" / ".hidden.yaml").write_text(APP)
    (tmp_path / "config.yaml").write_text(f'app_config_files: ["{pattern}"]')
    config = load(tmp_path / "config.yaml", {})
    assert [app.appid for app in config.apps] == ["wx0123456789abcdef"]
    assert config.problems == ()
    assert [file.name for file in file_signatures(tmp_path / "config.yaml", config)].count("one.yaml") == 1


def test_pattern_never_matches_the_main_file(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"app_config_files: ['*.yaml']\napps:\n{APP}")
    (tmp_path / "link.yaml").symlink_to("config.yaml")
    assert [app.appid for app in load(tmp_path / "config.yaml", {}).apps] == ["wx0123456789abcdef"]


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with path.open("wb") as file:
        file.truncate(documents.MAX_BYTES + 1)
    with pytest.raises(ConfigError, match=r": the file is larger than 32 MiB$"):
        load(path, {})


AS_NOBODY = """
import codecs, os, pathlib, sys
from exporter.config import ConfigError, load
codecs.lookup("utf-8-sig")  # Python loads a codec at its first use, perhaps from a directory closed to that user
if os.geteuid() == 0:
    try:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    except OSError:
        sys.exit("cannot become nobody")
try:
    found = load(pathlib.Path("config.yaml"), {})
    print("broken:", *[str(problem) for file in found.broken_files for problem in file.problems])
except ConfigError as error:
    print("refused:", error)
"""


def load_unprivileged(folder: Path) -> str:
    """Return the output of a child process without root privileges, since root can read every file."""
    child = subprocess.run(
        [sys.executable, "-c", AS_NOBODY],
        cwd=folder,
        env={"PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "cannot become nobody" in child.stderr:
        pytest.skip("root here may not become nobody")
    assert not child.stderr
    return child.stdout.strip()


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Yield a directory that the user ``nobody`` may enter (those of pytest are closed to others)."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_an_unreadable_file_is_refused(open_directory: Path) -> None:
    write({"config.yaml": f"apps:\n{APP}"}, open_directory).chmod(0)
    assert load_unprivileged(open_directory) == "refused: config.yaml: the file cannot be read: permission denied"


def test_an_unreadable_secret_is_refused(open_directory: Path) -> None:
    main = "apps:\n- {appid: wx0123456789abcdef, secret_file: shop}\n"
    write({"config.yaml": main, "shop": MARKER}, open_directory)
    (open_directory / "shop").chmod(0)
    message = "config.yaml:2: apps[0].secret_file: the secret file cannot be read: permission denied"
    assert load_unprivileged(open_directory) == f"refused: {message}"


def test_unreadable_app_file_affects_only_its_own_apps(open_directory: Path) -> None:
    main = f"app_config_files: [more.yaml]\napps:\n{APP}"
    write({"config.yaml": main, "more.yaml": "[]"}, open_directory)
    (open_directory / "more.yaml").chmod(0)
    assert load_unprivileged(open_directory) == "broken: more.yaml: the file cannot be read: permission denied"


def test_unreadable_directory_is_an_error(open_directory: Path) -> None:
    main = f"app_config_files: [closed/a.yaml, closed/*.yaml, closed/sub/*.yaml]\napps:\n{APP}"
    write({"config.yaml": main, "closed/a.yaml": "[]"}, open_directory)
    (open_directory / "closed").chmod(0)
    closed = "its directory cannot be read: permission denied"
    assert load_unprivileged(open_directory).splitlines() == [
        f"refused: config.yaml:1: app_config_files[0]: {closed}",
        f"config.yaml:1: app_config_files[1]: {closed}",
        f"config.yaml:1: app_config_files[2]: {closed}",
    ]
    (open_directory / "closed").chmod(0o755)


def test_file_larger_than_a_mebibyte_is_read_completely(tmp_path: Path) -> None:
    path = write({"config.yaml": f"apps:\n{APP}" + "# a comment\n" * 100_000}, tmp_path)
    assert len(load(path, {}).apps) == 1


def test_file_is_written_where_its_owner_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a user namespace (PrivateUsers=yes) the owner of a file may have no number: fchown fails with EINVAL."""

    def fails(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr("os.fchown", fails)
    (tmp_path / "file").write_text("old")
    write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_undecodable_file_name_is_shown_escaped(tmp_path: Path) -> None:
    (tmp_path / "apps.d").mkdir()
    (tmp_path / os.fsdecode(b"apps.d/\xff.yaml")).write_text("nonsense")
    main = "apps:\n- {appid: wx0123456789abcdef, secret: x}\napp_config_files: [apps.d/*.yaml]\n"
    (tmp_path / "config.yaml").write_text(main)
    (broken,) = load(tmp_path / "config.yaml", {}).broken_files
    assert broken.file.endswith("apps.d/\\xff.yaml")
    assert broken.file.encode()
