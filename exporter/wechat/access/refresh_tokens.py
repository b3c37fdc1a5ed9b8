"""Refresh tokens that WeChat has replaced, in one object that outlives reloads.

WeChat may replace the refresh token of a third-party platform in any response; the old one is then invalid. If the new
one is lost, the app's administrator has to authorize the platform again. Two things could lose it: a file that is not
writable, and a reload, which creates a token source for another file (perhaps a copy of the old one) while a request of
the previous source is still in flight. Therefore no source keeps the replacement. All sources of a process share one
``RefreshTokens`` and use a file's content only to find the token that is valid in its place.

Any other content of the file was written by another program, for example after a new authorization, and is used as is.

No lock: an entry is one tuple, and a dictionary reads and assigns it atomically.
"""

from __future__ import annotations

from typing import NamedTuple


class Authorization(NamedTuple):
    """What identifies a refresh token: an app that has authorized a platform, at one API."""

    base_url: str
    component_appid: str
    appid: str


class RefreshTokens:
    """The last replacement of each authorization's refresh token. Safe for use from several threads."""

    def __init__(self) -> None:
        self._replaced: dict[Authorization, tuple[str, str]] = {}
        """The content of the file when WeChat replaced the token, and the new token."""

    def current(self, authorization: Authorization, stored: str) -> str:
        """Return the valid refresh token for a file with this content."""
        old, new = self._replaced.get(authorization, ("", ""))
        return new if stored == old else stored

    def replace(self, authorization: Authorization, stored: str, new: str) -> None:
        """Remember the token that replaces the content of the file, saved or not."""
        self._replaced[authorization] = stored, new

    def secrets(self, authorization: Authorization) -> tuple[str, ...]:
        """Return the tokens that must not be shown."""
        return self._replaced.get(authorization, ())
