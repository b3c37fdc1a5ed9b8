"""The parts of figures: entrances, lengths of stay, visit depths, and the weeks after a cohort's week.

The tables are those of WeChat's documentation (docs/wechat-api.md section 8); the English names of the entrances are
this project's. WeChat adds entrances without notice, so a key that is not in the table is ``key_63``, never an error.
"""

from __future__ import annotations

from types import MappingProxyType

from exporter.reports.figure_types import Dimension

_SOURCES = (
    *(None, "history_list", "search", "chat", "scan_code", "official_account_profile", "chat_top", "desktop"),
    *("profile_page", "nearby", "other", "template_message", "customer_service_message", "official_account_menu"),
    *("app_share", "payment_done", "long_press_code", "album_code", "official_account_article", "wallet"),
    *("card_wallet", "coupon_in_app", "other_mini_program", "back_from_mini_program", "coupon_store_list"),
    *("search_box_shortcut", "mini_program_service_message", "official_account_message", "chat_menu"),
    *("taskbar_recent", "menu_button", "wifi_connected", "city_services", "wechat_ads", "mobile_app"),
    *("discover_my_mini_programs", "taskbar_my_mini_programs", "wechat_circles", "phone_top_up", "h5", "plugin"),
    *("people_use", "discover", "floating_window", "people_nearby", "top_stories", "moments", "wecom", "video"),
    *("favorites", "red_packet", "game_center", "shake", "shopping_guide_message", "identify_object", "orders"),
    *("live", "group_tools", None, "group_todo", "third_party_app", None, "channels"),
)
"""By WeChat's key. 59, 60 and 62 are not in the official table, but in a published SDK."""
_STAYS = ("0-2s", "3-5s", "6-10s", "11-20s", "21-30s", "31-50s", "51-100s", ">100s")
"""From key 1. The documentation prints 20-30, 30-50 and 50-100, which overlap."""
_DEPTHS = ("1", "2", "3", "4", "5", "6-10", ">10")
"""Distinct pages per session, from key 1."""

SOURCE = Dimension(
    "source",
    MappingProxyType({str(key): name for key, name in enumerate(_SOURCES) if name}),
    absent_is_zero=True,
    is_bounded=False,
)
STAY = Dimension("stay", MappingProxyType({str(key): name for key, name in enumerate(_STAYS, 1)}), absent_is_zero=True)
DEPTH = Dimension(
    "pages", MappingProxyType({str(key): name for key, name in enumerate(_DEPTHS, 1)}), absent_is_zero=True
)
WEEKS_LATER = Dimension("weeks_later", MappingProxyType({str(weeks): str(weeks) for weeks in range(1, 5)}))
