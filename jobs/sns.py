"""What Amazon SNS posts to a webhook: its signature is checked before anything in it is believed.

The rules are those of the SNS Developer Guide, “Verifying the signatures of Amazon SNS messages”. Anybody can
have SNS sign a message to a topic of his own, so the topic counts as much as the signature; and a certificate
proves something only if it comes from the host of the topic's region.
"""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate

from jobs.errors import Unauthenticated, Unavailable

log = structlog.get_logger(__name__)

Fetch = Callable[[str], Awaitable[bytes]]  # the body of a URL; Unavailable if there is none

MAX_AGE = timedelta(hours=1)  # for as long, at most, does SNS go on delivering by HTTP

_PAUSE = timedelta(seconds=5)  # between two questions for a certificate that is not known yet
_HASHES = {"1": SHA1, "2": SHA256}  # by SignatureVersion
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}


class Topic:
    """The one topic whose messages are believed."""

    def __init__(self, arn: str, fetch: Fetch) -> None:
        self._arn = arn
        self._origin = origin_of(arn)
        self._fetch = fetch
        self._certificates: dict[str, Certificate] = {}
        self._fetching = asyncio.Lock()
        self._fetched_at = datetime.min.replace(tzinfo=UTC)

    async def admit(self, body: bytes, *, at: datetime) -> str | None:
        """Check the message; one that asks whether we want the subscription is answered with yes.

        Args:
            at: the time.

        Returns:
            What was published, for which alone the signature stands; None if it is about the subscription.

        Raises:
            Unauthenticated: it is no message of this topic, or not one of the last hour.
            Unavailable: what SNS keeps for it cannot be fetched.
        """
        message = _read(body)
        if message.get("TopicArn") != self._arn:
            raise Unauthenticated("It is no SNS message of our topic.")
        if at - _sent_at(message) > MAX_AGE:
            raise Unauthenticated("The SNS message is too old.")
        url = message.get("SigningCertURL", "")
        # A file of this name, for the same host also answers requests with what a stranger wrote.
        if not re.fullmatch(
            rf"{re.escape(self._origin)}/SimpleNotificationService-[0-9A-Za-z]{{1,64}}\.pem", url
        ):
            raise Unauthenticated("The certificate of the SNS message is not from where SNS keeps them.")
        verify(message, await self._certificate(url, at), at=at)
        if message["Type"] == "SubscriptionConfirmation":
            await self._confirm(message["SubscribeURL"])
        return message["Message"] if message["Type"] == "Notification" else None

    async def _certificate(self, url: str, at: datetime) -> Certificate:
        async with self._fetching:
            known = self._certificates.get(url)
            if known is None:
                if at < self._fetched_at + _PAUSE:
                    raise Unavailable("The certificate of another SNS message was just asked for.")
                self._fetched_at = at  # anybody can name one that is not there
                try:
                    known = load_pem_x509_certificate(await self._fetch(url))
                except ValueError as error:
                    raise Unavailable(f"SNS gave something else than its certificate: {error}") from error
                self._certificates[url] = known
            return known

    async def _confirm(self, url: str) -> None:
        if not re.fullmatch(rf"{re.escape(self._origin)}/\?Action=ConfirmSubscription&[!-~]{{1,2000}}", url):
            raise Unauthenticated("The subscription is not to be confirmed where SNS confirms them.")
        await self._fetch(url)
        log.info("subscribed", topic=self._arn)


def origin_of(arn: str) -> str:
    """Scheme and host of SNS in the region of the topic, from the only place where they can be trusted."""
    _, partition, _, region, *_ = arn.split(":")
    return f"https://sns.{region}.amazonaws.com" + (".cn" if partition == "aws-cn" else "")


def canonical_string(message: Mapping[str, str]) -> str:
    """What SNS signs of a message: names and values of some of its fields, each on a line.

    Raises:
        Unauthenticated: a field is missing, so that nothing can have been signed.
    """
    names = _SIGNED.get(message.get("Type", ""))
    if names is None:
        raise Unauthenticated("It is no SNS message.")
    lines: list[str] = []
    for name in names:
        if name in message:
            lines += (name, message[name])
        elif name != "Subject":
            raise Unauthenticated(f"An SNS message has a {name}.")
    return "".join(f"{line}\n" for line in lines)


def verify(message: Mapping[str, str], certificate: Certificate, *, at: datetime) -> None:
    """Check that the owner of the certificate signed the message.

    Raises:
        Unauthenticated: he did not, or the certificate is not good at that time.
    """
    signed = canonical_string(message).encode(errors="surrogatepass")
    hash_type = _HASHES.get(message.get("SignatureVersion", ""))
    key = certificate.public_key()
    if hash_type is None or not isinstance(key, RSAPublicKey):
        raise Unauthenticated("The signature of the SNS message is of an unknown kind.")
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise Unauthenticated("The certificate of the SNS message is not valid now.")
    try:
        signature = base64.b64decode(message.get("Signature", ""), validate=True)
        key.verify(signature, signed, PKCS1v15(), hash_type())
    except (InvalidSignature, ValueError):
        raise Unauthenticated("The signature of the SNS message is wrong.") from None


def _read(body: bytes) -> dict[str, str]:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        raise Unauthenticated("It is no SNS message.")
    return {name: value for name, value in payload.items() if isinstance(value, str)}


def _sent_at(message: Mapping[str, str]) -> datetime:
    try:
        at = datetime.fromisoformat(message.get("Timestamp", ""))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Unauthenticated("An SNS message says when it was sent.")
    return at
