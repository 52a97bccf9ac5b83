"""Our signatures are those of the SDK, to the letter."""

import random
import string
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from jobs.sigv4 import Credentials, encode_key, presign

CREDENTIALS = Credentials("AKIAEXAMPLE", "secret/with+signs=", "eu-central-1")
TEXT = string.ascii_letters + string.digits + "-_.~ /+%&=?#:;,!*'()[]äß\u20ac\U0001f600"


def of_the_sdk(method: str, url: str, headers: dict[str, str], expires_in: int) -> tuple[str, datetime]:
    """What botocore signs, and when it did."""
    request = AWSRequest(method=method, url=url, headers=headers)
    credentials = botocore.credentials.Credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key)
    S3SigV4QueryAuth(credentials, "s3", CREDENTIALS.region, expires=expires_in).add_auth(request)
    at = datetime.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return str(request.url), at


@pytest.mark.parametrize("seed", range(200))
def test_a_signature_is_that_of_the_sdk(seed: int) -> None:
    """Whatever the key, the headers, the host and the time that it is good for."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets

    def text(most: int) -> str:
        return "".join(chance.choices(TEXT, k=chance.randint(1, most)))

    host = chance.choice(["s3.eu-central-1.amazonaws.com", "127.0.0.1:9000", "pictures.example:8443"])
    scheme = chance.choice(["http", "https"])
    method = chance.choice(["PUT", "GET", "HEAD"])
    headers = {"Content-Type": "image/png", "If-None-Match": "*", "Content-Length": str(seed)}
    headers = dict(chance.sample(sorted(headers.items()), chance.randint(0, 3)))
    url = f"{scheme}://{host}/bucket/{encode_key(text(40).lstrip('/') or 'x')}"
    expires_in = chance.randint(1, 604_800)
    theirs, at = of_the_sdk(method, url, headers, expires_in)
    assert presign(CREDENTIALS, method, url, at=at, expires_in=expires_in, headers=headers) == theirs


@pytest.mark.parametrize("port", ["http://store.example:80", "https://store.example:443"])
def test_a_default_port_is_left_out(port: str) -> None:
    """As every client leaves it out of its Host header."""
    at = datetime(2026, 6, 1, tzinfo=UTC)
    ours = presign(CREDENTIALS, "GET", f"{port}/bucket/a", at=at, expires_in=60)
    bare = port.rsplit(":", 1)[0]
    assert ours == presign(CREDENTIALS, "GET", f"{bare}/bucket/a", at=at, expires_in=60)
    assert ours.startswith(f"{bare}/bucket/a?")


@pytest.mark.parametrize("key", ["a", "a b+c", "ü/é~(x)", "%41", "a//b", "../a"])
def test_a_key_is_written_as_the_sdk_writes_it(key: str) -> None:
    """So that both name the same object."""
    client: Any = botocore.session.get_session().create_client(
        "s3",
        region_name=CREDENTIALS.region,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        endpoint_url="http://store.example",
        config=Config(s3={"addressing_style": "path"}),
    )
    theirs = client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": key})
    assert theirs.split("?")[0] == f"http://store.example/bucket/{encode_key(key)}"
