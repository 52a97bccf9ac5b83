"""Settings: environment variables with the prefix `DARKROOM_`, and a `.env` file.

They are built only at the entry points and handed down. The README's table lists each of them.
"""

import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSetting

from jobs.access import OwnerKeys
from jobs.errors import SettingsError
from jobs.formats import EVERYDAY, SourceFormat
from jobs.presets import DEFAULT_PRESET, Preset

PREFIX = "DARKROOM_"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def usable_cores() -> int:
    """The processors that this process may run on; a container's quota of time is not among what it knows."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _http_url(text: str) -> str:
    parts = urlsplit(text)  # what it says of a wrong port is a ValueError
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("it is no URL that begins with http:// or https:// and names a host")
    if parts.query or parts.fragment or any(character.isspace() for character in text):
        raise ValueError("a URL without a query is needed")
    return text


_SNS_TOPIC = r"^arn:aws(-cn|-us-gov)?:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$"

HttpUrl = Annotated[str, AfterValidator(_http_url)]

NO_LIMIT = "none"


def _rates(text: str) -> str:
    from limits import parse_many

    try:
        if text == NO_LIMIT or all(rate.amount > 0 for rate in parse_many(text)):
            return text
    except ValueError:
        pass
    raise ValueError(f"it is neither {NO_LIMIT} nor rates such as 600/minute")


Rates = Annotated[str, AfterValidator(_rates)]


_MIN_SECRET = 32  # bytes, as RFC 7518 asks for HS256


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < _MIN_SECRET:
        raise ValueError(f"at least {_MIN_SECRET} bytes are needed")
    return secret


def _file_or_safe_url(text: str) -> str:
    if "://" not in text:
        return text
    parts = urlsplit(text)
    if not (parts.scheme == "https" and parts.hostname) and not (
        parts.scheme == "http" and parts.hostname in LOOPBACK
    ):
        raise ValueError("a file or a URL that begins with https:// is needed")
    return text


class Settings(BaseSettings):
    """Everything that differs between one deployment and another."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    mongo_url: Annotated[str, Field(pattern=r"^mongodb(\+srv)?://.+", repr=False)]
    mongo_database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,63}$")] = "darkroom"
    mongo_driver: Literal["motor", "pymongo"] = "motor"

    redis_url: Annotated[str, Field(pattern=r"^(rediss?|unix)://.+", repr=False)]
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]+$")] = "darkroom"

    s3_bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    s3_access_key: str
    s3_secret_key: SecretStr
    s3_session_token: SecretStr | None = None  # of temporary credentials
    s3_region: str = "us-east-1"
    s3_endpoint: HttpUrl | None = None  # nothing: Amazon's own for the region
    s3_public_endpoint: HttpUrl | None = None  # nothing: the same as s3_endpoint
    s3_addressing: Literal["path", "virtual"] = "path"
    variants_base_url: HttpUrl | None = None  # nothing: presigned URLs

    events_queue_url: HttpUrl | None = None
    hook_token: SecretStr | None = None
    sns_topic_arn: Annotated[str | None, Field(pattern=_SNS_TOPIC)] = None

    auth: Literal["none", "keys", "jwt", "keys+jwt"] = "keys"
    api_keys: dict[str, OwnerKeys] = {}
    jwt_secret: Annotated[SecretStr, AfterValidator(_long_enough)] | None = None  # for HS256
    jwt_jwks: Annotated[str, AfterValidator(_file_or_safe_url)] | None = None  # for RS256 and ES256
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    jwt_owner_claim: str = "sub"
    jwt_roles_claim: str = "roles"
    cors_origins: tuple[Annotated[str, Field(pattern=r"^(\*|https?://[^/\s]+)$")], ...] = ()
    introspection: bool | None = None  # nothing: where nobody has to say who he is
    playground: bool | None = None  # nothing: the same

    max_query_depth: Annotated[int, Field(ge=1, le=100)] = 24  # an introspection has 18
    max_query_aliases: Annotated[int, Field(ge=0, le=10_000)] = 30
    max_query_directives: Annotated[int, Field(ge=0, le=10_000)] = 30
    max_query_cost: Annotated[int, Field(ge=1, le=10_000_000)] = (
        25_000  # a page of 100 whole images has 21,000
    )
    max_query_tokens: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    max_socket_operations: Annotated[int, Field(ge=1, le=10_000)] = 20
    # Of one process. As a page asks, each takes 20 to 40 kB besides its websocket: 0.4 GB together.
    max_operations_per_owner: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    max_sockets_per_owner: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000  # of one process
    max_sockets_per_address: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000

    max_upload_bytes: Annotated[int, Field(ge=1, le=2**31 - 1)] = 50 * 2**20
    max_upload_files: Annotated[int, Field(ge=1, le=1_000)] = 100
    rate_creations: Rates = "600/minute"  # uploads asked for by one owner
    rate_queries: Rates = NO_LIMIT  # operations of one owner
    rate_address: Rates = NO_LIMIT  # operations and uploads asked for from one address
    quota_bytes_per_day: Annotated[int, Field(ge=1, le=2**53)] | None = None  # of one owner, as declared
    upload_seconds: Annotated[int, Field(ge=1, le=7 * 86_400)] = 900
    download_seconds: Annotated[int, Field(ge=1, le=7 * 86_400)] = 3_600
    source_formats: Annotated[tuple[SourceFormat, ...], Field(min_length=1)] = EVERYDAY
    presets: Annotated[dict[str, Preset], Field(min_length=1)] = {"default": DEFAULT_PRESET}
    presets_file: Path | None = None  # TOML or JSON; nothing: those of `presets`

    worker_concurrency: Annotated[int, Field(ge=1, le=256)] = Field(default_factory=usable_cores)
    develop_seconds: Annotated[float, Field(gt=0, le=15)] = 15
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 4
    sweep_seconds: Annotated[float, Field(gt=0, le=86_400)] = 120

    scratch_dir: Path | None = None  # nothing: the system's temporary directory
    metrics_token: SecretStr | None = None
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="before")
    @classmethod
    def _with_presets_of_the_file(cls, values: dict[str, Any]) -> dict[str, Any]:
        path = values.get("presets_file")
        if not path:
            return values
        if values.get("presets"):
            raise ValueError(f"{PREFIX}PRESETS and {PREFIX}PRESETS_FILE are both there; one can be")
        return values | {"presets": _read_presets(Path(path))}

    @model_validator(mode="after")
    def _with_one_kind_of_keys_for_tokens(self) -> Self:
        if self.jwt_secret and self.jwt_jwks:
            raise ValueError(f"{PREFIX}JWT_SECRET and {PREFIX}JWT_JWKS are both there; one can be")
        return self

    @field_validator("cors_origins")
    @classmethod
    def _origins_of_those_who_say_who_they_are(
        cls, origins: tuple[str, ...], info: ValidationInfo
    ) -> tuple[str, ...]:
        if "*" in origins and info.data.get("auth") == "none":
            raise ValueError("with AUTH=none, * would let every page on the web do as it likes")
        return origins

    @property
    def shows_schema(self) -> bool:
        """Whether clients may ask what there is to ask for, and are told what they may have meant."""
        return self.auth == "none" if self.introspection is None else self.introspection

    @property
    def shows_playground(self) -> bool:
        """Whether a browser gets GraphiQL."""
        return self.auth == "none" if self.playground is None else self.playground

    @property
    def default_preset(self) -> str:
        """The preset of an upload that names none: `default`, or else the first."""
        return "default" if "default" in self.presets else next(iter(self.presets))


def _read_presets(path: Path) -> Any:
    try:
        text = path.read_text()
        return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise ValueError(f"{PREFIX}PRESETS_FILE cannot be read: {path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{PREFIX}PRESETS_FILE is neither TOML nor JSON: {path}: {error}") from error


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: one line that names each setting that is missing or wrong.
    """
    try:
        return Settings()  # the values come from the environment
    except ValidationError as error:
        raise SettingsError("; ".join(_complaint(dict(item)) for item in error.errors())) from None
    except UnreadableSetting as error:
        field = str(error).split('"')[1]
        raise SettingsError(f"{PREFIX}{field.upper()} is wrong: it is not valid JSON") from None


def _complaint(item: dict[str, object]) -> str:
    location = item["loc"]
    path = [str(part) for part in location] if isinstance(location, tuple) else []
    name = PREFIX + ".".join([path[0].upper(), *path[1:]]) if path else "the settings"
    if item["type"] == "missing":
        return f"{name} is missing"
    return f"{name} is wrong: {str(item['msg']).removeprefix('Value error, ')}"
