"""Secrets: read at each use, compared by fingerprint, never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from config_bad_row import MARKER, write

from exporter.config import (
    App,
    Config,
    EnvSecret,
    FileSecret,
    LiteralSecret,
    Secret,
    SecretUnavailable,
    load,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

APPID = "wx0123456789abcdef"


def in_file(tmp_path: Path) -> Secret:
    (tmp_path / MARKER).write_text(f"\n {MARKER}\t\n")
    return FileSecret(tmp_path / MARKER)


KINDS: tuple[Callable[[Path], Secret], ...] = (
    lambda _: LiteralSecret(f" {MARKER}\n"),
    in_file,
    lambda _: EnvSecret(MARKER, {MARKER: f"{MARKER} "}),
)


@pytest.fixture(params=KINDS, ids=["literal", "file", "variable"])
def secret(request: pytest.FixtureRequest, tmp_path: Path) -> Secret:
    made: Secret = request.param(tmp_path)
    return made


def test_white_space_around_a_secret_is_stripped(secret: Secret) -> None:
    assert secret.read() == MARKER


def test_secret_is_redacted_in_str_and_repr(secret: Secret) -> None:
    app = App(APPID, secret.fingerprinted())
    for shown in (secret, app, Config(apps=(app,)), [secret], {"secret": secret}):
        assert MARKER not in f"{shown} {shown!r} {shown!s:>40}"
        assert "<SECRET>" in f"{shown}"
    assert f"{secret}" == repr(secret) == "<SECRET>"


def test_secrets_of_different_sources_are_not_equal(tmp_path: Path) -> None:
    first, second = ([kind(tmp_path).fingerprinted() for kind in KINDS] for _ in range(2))
    assert first == second
    assert len(set(first + second)) == len(KINDS)


def test_hash_does_not_depend_on_the_secret() -> None:
    assert hash(LiteralSecret("one")) == hash(LiteralSecret("two"))


def test_file_is_read_again_each_time(tmp_path: Path) -> None:
    file = tmp_path / "shop"
    secret = FileSecret(file)
    read = []
    for text in ("one", "two"):
        file.write_text(text)
        read.append(secret.read())
    assert read == ["one", "two"]


def test_variable_is_read_again_each_time() -> None:
    environ = {"SHOP": "one"}
    secret = EnvSecret("SHOP", environ)
    environ["SHOP"] = "two"
    assert secret.read() == "two"


@pytest.mark.parametrize("option", ["secret_file: shop", "secret_env: SHOP"])
def test_reload_detects_a_changed_secret_of_the_same_name(option: str, tmp_path: Path) -> None:
    def loaded(text: str) -> Config:
        path = write({"config.yaml": f"apps: [{{appid: {APPID}, {option}}}]\n", "shop": text}, tmp_path)
        return load(path, {"SHOP": text})

    assert loaded("one").apps == loaded("one\n").apps
    assert loaded("one").apps != loaded("two").apps


def test_error_of_a_missing_secret_does_not_name_its_source(tmp_path: Path) -> None:
    with pytest.raises(SecretUnavailable, match=r"^the secret file does not exist$"):
        FileSecret(tmp_path / MARKER).read()
    with pytest.raises(SecretUnavailable, match=r"^the environment variable is not set$"):
        EnvSecret(MARKER, {}).read()
    with pytest.raises(SecretUnavailable, match=r"^the secret is empty$"):
        LiteralSecret(" ").read()
