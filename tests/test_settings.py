"""A missing or wrong setting ends the start with one clear line that names it."""

import subprocess
import sys

import pytest

from jobs.errors import SettingsError
from jobs.settings import Settings, load_settings

COMPLETE = {
    "DARKROOM_MONGO_URL": "mongodb://127.0.0.1:1",
    "DARKROOM_REDIS_URL": "redis://127.0.0.1:1",
    "DARKROOM_S3_BUCKET": "pictures",
    "DARKROOM_S3_ACCESS_KEY": "key",
    "DARKROOM_S3_SECRET_KEY": "very-secret",
}
HASH = "0" * 64


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with everything that must be set."""
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize("name", COMPLETE)
def test_a_missing_setting_is_named(name: str, environment: pytest.MonkeyPatch) -> None:
    """Whoever reads the line knows what to set."""
    environment.delenv(name)
    with pytest.raises(SettingsError, match=f"^{name} is missing$"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONGO_URL", "postgres://somewhere"),
        ("REDIS_URL", "http://somewhere"),
        ("S3_ENDPOINT", "not a url"),
        ("S3_BUCKET", "Not_A_Bucket"),
        ("MONGO_DRIVER", "mongoengine"),
        ("MAX_UPLOAD_BYTES", "-1"),
        ("WORKER_CONCURRENCY", "many"),
        ("PRESETS", '{"default": {"variants": []}}'),
        ("PRESETS", '{"a": {"variants": [{"name": "x", "width": 1}, {"name": "x", "width": 2}]}}'),
        ("SNS_TOPIC_ARN", "uploads"),
        ("SNS_TOPIC_ARN", "arn:aws:sns:evil.example/:111122223333:uploads"),
        ("API_KEYS", '{"shop": "not-a-hash"}'),
        ("RATE_CREATIONS", "many"),
        ("RATE_QUERIES", "0/second"),
        ("RATE_ADDRESS", "10/second; 5"),
        ("QUOTA_BYTES_PER_DAY", "0"),
        ("API_KEYS", '{"shop": []}'),
        ("API_KEYS", '{"shop": 7}'),
        ("API_KEYS", f'{{"shop": ["{HASH}", "not-a-hash"]}}'),
        ("API_KEYS", f'{{"shop": {{"hash": "{HASH}", "roles": ["owner"]}}}}'),
        ("API_KEYS", f'{{"shop": {{"hash": "{HASH}", "roles": []}}}}'),
        ("API_KEYS", f'{{"shop": {{"hash": "{HASH}", "role": ["read"]}}}}'),
        ("AUTH", "nobody"),
        ("JWT_SECRET", "x" * 31),
        ("JWT_JWKS", "http://login.example/jwks.json"),
        ("JWT_JWKS", "https://"),
        ("JWT_JWKS", "file:///etc/jwks.json"),
        ("MONGO_DATABASE", "a b"),
        ("SWEEP_SECONDS", "inf"),
        ("S3_PUBLIC_ENDPOINT", "http://x:abc"),
        ("S3_PUBLIC_ENDPOINT", "http://x/?q"),
        ("S3_ENDPOINT", "http://x:99999"),
        ("S3_ENDPOINT", "ftp://x"),
        ("CORS_ORIGINS", '["https://shop.example/"]'),
        ("PRESETS", '{"default": {"variants": [{"name": "a", "width": 0}]}}'),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, environment: pytest.MonkeyPatch) -> None:
    """The line says which, and what is wrong with it."""
    environment.setenv(f"DARKROOM_{name}", value)
    with pytest.raises(SettingsError, match=rf"^DARKROOM_{name}\S* is wrong: [^;]+$"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEYS", f'{{"shop": "{HASH}", "blog": [{{"hash": "{HASH}", "roles": ["read", "admin"]}}]}}'),
        ("JWT_SECRET", "é" * 16),
        ("JWT_JWKS", "https://login.example/keys?policy=b2c"),
        ("JWT_JWKS", "http://127.0.0.1:8080/jwks.json"),
        ("JWT_JWKS", "http://[::1]/jwks.json"),
        ("JWT_JWKS", "keys/jwks.json"),
    ],
)
def test_what_callers_are_known_by_can_be_set(name: str, value: str, environment: pytest.MonkeyPatch) -> None:
    """In each of its forms."""
    environment.setenv(f"DARKROOM_{name}", value)
    assert getattr(load_settings(), name.lower())


def test_tokens_have_one_kind_of_keys(environment: pytest.MonkeyPatch) -> None:
    """Or a token could choose how it is checked."""
    environment.setenv("DARKROOM_JWT_SECRET", "x" * 32)
    environment.setenv("DARKROOM_JWT_JWKS", "jwks.json")
    with pytest.raises(SettingsError, match="DARKROOM_JWT_SECRET and DARKROOM_JWT_JWKS are both there"):
        load_settings()


@pytest.mark.parametrize("value", ["none", "600/minute", "10 per second", "5/2 hours; 100/day"])
def test_rates_are_written_as_the_library_does(value: str, environment: pytest.MonkeyPatch) -> None:
    """One or several, or none at all."""
    environment.setenv("DARKROOM_RATE_CREATIONS", value)
    assert load_settings().rate_creations == value


def test_settings_that_are_no_json_are_named(environment: pytest.MonkeyPatch) -> None:
    """Presets are JSON; a slip in them is no traceback."""
    environment.setenv("DARKROOM_PRESETS", "{")
    with pytest.raises(SettingsError, match="DARKROOM_PRESETS"):
        load_settings()


def test_secrets_are_not_shown(environment: pytest.MonkeyPatch) -> None:
    """Settings can be logged."""
    environment.setenv("DARKROOM_HOOK_TOKEN", "very-secret-too")
    environment.setenv("DARKROOM_JWT_SECRET", "very-secret" * 3)
    assert "very-secret" not in repr(load_settings())


def test_a_process_says_it_in_one_line() -> None:
    """No traceback, and a status that tells."""
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "worker"],
        env=COMPLETE | {"DARKROOM_MONGO_URL": "nonsense"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "DARKROOM_MONGO_URL is wrong" in done.stderr


def test_the_default_preset_is_the_one_of_that_name_or_the_first() -> None:
    """Whoever configures presets need not call one `default`."""
    spec = {"variants": [{"name": "a", "width": 1}]}
    values = {name.removeprefix("DARKROOM_").lower(): value for name, value in COMPLETE.items()}
    named = Settings.model_validate(values | {"presets": {"avatar": spec, "default": spec}})
    assert named.default_preset == "default"
    assert Settings.model_validate(values | {"presets": {"avatar": spec}}).default_preset == "avatar"
