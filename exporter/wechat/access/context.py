"""What all access methods of a client share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.wechat.access.refresh_tokens import RefreshTokens

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class AccessContext:
    """The API, the clock, and the state that outlives a reload."""

    base_url: str
    """The API's address, without a slash at the end."""
    clock: Callable[[], float]
    """The wall clock, Unix seconds."""
    refresh_tokens: RefreshTokens = field(default_factory=RefreshTokens, repr=False)
