"""Our signatures are those of the SDK, to the letter."""

import random
import string
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

import botocore.session
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from jobs.sigv4 import MAX_LIFETIME, Credentials, encode_key, presign

CREDENTIALS = Credentials("AKIAEXAMPLE", "secret/with+signs=", "eu-central-1")
TEXT = string.ascii_letters + string.digits + "-_.~ /+%&=?#:;,!*'()[]äß\u20ac\U0001f600"
CASES = 10_000
PARTS = 20  # tests that they are dealt to


def of_the_sdk(
    signing: Credentials,
    method: str,
    url: str,
    *,
    headers: dict[str, str],
    query: dict[str, str],
    expires_in: int,
) -> tuple[str, datetime]:
    """What botocore signs, and when it did."""
    request = AWSRequest(method=method, url=url, headers=headers, params=query)
    credentials = botocore.credentials.Credentials(
        signing.access_key, signing.secret_key, signing.session_token
    )
    S3SigV4QueryAuth(credentials, "s3", signing.region, expires=expires_in).add_auth(request)
    at = datetime.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return str(request.url), at


@pytest.mark.parametrize("part", range(PARTS))
def test_a_signature_is_that_of_the_sdk(part: int) -> None:
    """Whatever the key, the headers, the parameters, the addressing, the credentials and the lifetime."""
    for seed in range(part, CASES, PARTS):
        chance = random.Random(seed)  # noqa: S311 - not for secrets

        def text(most: int, letters: str = TEXT, chance: random.Random = chance) -> str:
            return "".join(chance.choices(letters, k=chance.randint(1, most)))

        signing = Credentials(
            text(20, string.ascii_uppercase + string.digits),
            text(40, string.ascii_letters + "/+="),
            chance.choice(["us-east-1", "eu-central-1", "garage"]),
            session_token=chance.choice([None, text(200, string.ascii_letters + string.digits + "/+=")]),
        )
        store = chance.choice(["s3.eu-central-1.amazonaws.com", "127.0.0.1:9000", "pictures.example:8443"])
        base = chance.choice([f"{store}/a-bucket", f"a-bucket.{store}"])  # by path, and by virtual host
        url = f"{chance.choice(['http', 'https'])}://{base}/{encode_key(text(40).lstrip('/') or 'x')}"
        headers = {
            "Content-Type": "image/png",
            "If-None-Match": "*",
            "Content-Length": str(seed),
            "x-amz-checksum-sha256": text(44, string.ascii_letters + "/+="),
            "X-Amz-Meta-Words": f"  {text(9, string.ascii_letters)}   {text(9, string.ascii_letters)} ",
        }
        headers = dict(chance.sample(sorted(headers.items()), chance.randint(0, len(headers))))
        query = {"response-content-disposition": f'attachment; filename="{text(9)}"', "versionId": text(9)}
        query = dict(chance.sample(sorted(query.items()), chance.randint(0, len(query))))
        # Of few letters, so that many a name begins with another.
        query |= {text(4, "ab1-~=/\u20ac"): text(4) for _ in range(chance.randint(0, 4))}
        expires_in = chance.randint(1, MAX_LIFETIME)
        method = chance.choice(["PUT", "GET", "HEAD"])
        theirs, at = of_the_sdk(signing, method, url, headers=headers, query=query, expires_in=expires_in)
        ours = presign(signing, method, url, at=at, expires_in=expires_in, headers=headers, query=query)
        assert ours == theirs, f"seed {seed}"


@pytest.mark.parametrize("style", ["path", "virtual"])
@pytest.mark.parametrize("token", [None, "a/session+token=="])
def test_a_url_is_the_one_that_the_client_of_the_sdk_makes(
    style: Literal["path", "virtual"], token: str | None
) -> None:
    """With the headers of an upload, and the bucket where the style puts it."""
    client: Any = botocore.session.get_session().create_client(
        "s3",
        region_name=CREDENTIALS.region,
        aws_access_key_id=CREDENTIALS.access_key,
        aws_secret_access_key=CREDENTIALS.secret_key,
        aws_session_token=token,
        endpoint_url="https://store.example",
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": style},
            request_checksum_calculation="when_required",
        ),
    )
    theirs = client.generate_presigned_url(
        "put_object",
        Params={
            "Bucket": "a-bucket",
            "Key": "sources/a b",
            "ContentType": "image/png",
            "ContentLength": 9,
            "IfNoneMatch": "*",
        },
        ExpiresIn=60,
    )
    at = datetime.strptime(theirs.split("X-Amz-Date=")[1][:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    base = "https://store.example/a-bucket" if style == "path" else "https://a-bucket.store.example"
    ours = presign(
        replace(CREDENTIALS, session_token=token),
        "PUT",
        f"{base}/{encode_key('sources/a b')}",
        at=at,
        expires_in=60,
        headers={"Content-Type": "image/png", "Content-Length": "9", "If-None-Match": "*"},
    )
    assert ours == theirs


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
