from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from harness import running
from hypothesis import given
from hypothesis import strategies as st

from exporter.wechat.protocol.redaction import SHORTEST, redact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "76_SIMULATED_hV3kQ9wXz2LrT8bNcY5mJ0pDfGsA1uEoI4tRnKvWxZqCyBaHdPlMgUjSeFi7O6-_" * 2


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in text)


SHOWN = [
    ("the complete token", f"rejected {TOKEN}!", "rejected <SECRET>!"),
    ("twice", f"{TOKEN} {TOKEN}", "<SECRET> <SECRET>"),
    ("its beginning", f"rejected {TOKEN[:12]}...", "rejected <SECRET>..."),
    ("its end", f"rejected ...{TOKEN[-12:]}", "rejected ...<SECRET>"),
    ("both ends", f"{TOKEN[:8]}***{TOKEN[-8:]}", "<SECRET>***<SECRET>"),
    ("as escapes", f"rejected {escaped(TOKEN)}!", "rejected <SECRET>!"),
    ("its beginning as escapes", escaped(TOKEN[:20]), "<SECRET>"),
    ("percent-encoded", "token=" + "".join(f"%{ord(char):02X}" for char in TOKEN), "token=<SECRET>"),
    ("percent-encoded twice", "".join(f"%25{ord(char):02X}" for char in TOKEN), "<SECRET>"),
    ("JSON within JSON", '{\\"token\\":\\"' + TOKEN + '\\"}', '{"token":"<SECRET>"}'),
    ("too short to differ from ordinary text", f"{TOKEN[:7]} {TOKEN[-7:]}", f"{TOKEN[:7]} {TOKEN[-7:]}"),
    ("nothing of it", "invalid ip 1.2.3.4, 100% of it", "invalid ip 1.2.3.4, 100% of it"),
]


@pytest.mark.parametrize(("what", "text", "shown"), SHOWN, ids=[case[0] for case in SHOWN])
def test_secrets_and_their_ends_are_removed(what: str, text: str, shown: str) -> None:
    assert what
    assert redact(text, [TOKEN, "short"]) == shown


@given(st.data())
def test_no_beginning_or_end_of_a_secret_remains(data: st.DataObject) -> None:
    alphabet = "ab-"  # few characters: overlaps and repetitions are the hard cases
    secrets = data.draw(st.lists(st.text(alphabet, min_size=SHORTEST, max_size=20), min_size=1, max_size=3))
    parts = [secret[:length] for secret in secrets for length in (SHORTEST, len(secret))]
    parts += [secret[-length:] for secret in secrets for length in (SHORTEST, 11)]
    text = "".join(data.draw(st.lists(st.sampled_from(parts) | st.text(alphabet, max_size=9), max_size=6)))
    shown = redact(text, secrets)
    for part in (end for secret in secrets for end in (secret[:SHORTEST], secret[-SHORTEST:])):
        assert part not in shown


@contextmanager
def repeating() -> Iterator[str]:
    """Yield a WeChat whose error text repeats the token, escaped, so that truncation to 200 characters splits it."""
    text = "invalid credential " + "~" * 100 + " " + TOKEN

    class WeChat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"access_token": TOKEN, "expires_in": 7200})
            if "access_token=" in self.path:
                body = f'{{"errcode":99999,"errmsg":"{escaped(text)}"}}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), WeChat)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_no_part_of_a_repeated_token_is_shown_anywhere(tmp_path: Path) -> None:
    with repeating() as base_url:
        apps = [{"appid": "wx0000000000000001", "secret": "a-secret-of-this-test"}]
        (tmp_path / "config.yaml").write_text(json.dumps({"api": {"base_url": base_url}, "apps": apps}))
        (tmp_path / "config.yaml").chmod(0o600)
        with running(tmp_path, "--log.level=debug") as exporter:
            exporter.scrape_until(lambda samples: ("fetch_state", "wx0000000000000001", "weekly", "failed") in samples)
            shown = [exporter.get(path).text for path in ("/", "/api/v1/apps", "/metrics")]
        shown += [*exporter.log, (tmp_path / "data" / "store.sqlite3").read_bytes().decode("latin-1")]
    assert "&lt;SECRET&gt;" in shown[0]
    assert not [text for text in shown for start in range(len(TOKEN) - 12) if TOKEN[start : start + 12] in text]
