"""The server does not start where anybody could ask for anything, nor where nobody could."""

from typing import Any

import pytest

from api.server import serve_api
from jobs.errors import SettingsError
from tests.tokens import SECRET, settings_with


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "darkroom.example", "127.0.0.1.example", ""])  # noqa: S104
async def test_without_authentication_only_this_machine_is_served(host: str) -> None:
    """Any other address ends the start, before anything is opened."""
    with pytest.raises(SettingsError, match="DARKROOM_AUTH is wrong"):
        await serve_api(settings_with(auth="none"), host, 0)


@pytest.mark.parametrize("access", [{"auth": "keys"}, {"auth": "keys+jwt", "jwt_secret": SECRET}])
async def test_where_keys_are_taken_there_is_one(access: dict[str, Any]) -> None:
    """The line names the setting."""
    with pytest.raises(SettingsError, match="DARKROOM_API_KEYS is missing"):
        await serve_api(settings_with(**access), "127.0.0.1", 0)
