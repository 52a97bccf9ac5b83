"""What SNS posts is believed only with its signature, of our topic, and while it is fresh."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from jobs.errors import Unauthenticated, Unavailable
from jobs.sns import Topic, canonical_string, origin_of
from tests import shapes

ARN = "arn:aws:sns:eu-central-1:111122223333:uploads"
HOST = "https://sns.eu-central-1.amazonaws.com"
CERTIFICATE_URL = f"{HOST}/SimpleNotificationService-0123abc.pem"
SUBSCRIBE_URL = f"{HOST}/?Action=ConfirmSubscription&TopicArn={ARN}&Token=2336412f37"
NOW = datetime.now(UTC)
KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = KEY, *, until: datetime = NOW + timedelta(days=1)
) -> bytes:
    """A certificate of a key that vouches for itself, as PEM."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=2))
        .not_valid_after(until)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )


def signed(message: Mapping[str, str], *, key: rsa.RSAPrivateKey = KEY) -> bytes:
    """The message as SNS would post it, with the signature of `key`."""
    hash_type = SHA1() if message["SignatureVersion"] == "1" else SHA256()  # noqa: S303 - so does SNS
    signature = key.sign(canonical_string(message).encode(), PKCS1v15(), hash_type)
    return json.dumps({**message, "Signature": base64.b64encode(signature).decode()}).encode()


def notification(payload: object = None, **fields: str) -> dict[str, str]:
    """A message of our topic, sent now."""
    return {
        **shapes.sns(payload),
        "TopicArn": ARN,
        "SigningCertURL": CERTIFICATE_URL,
        "SignatureVersion": "2",
        "Timestamp": NOW.isoformat().replace("+00:00", "Z"),
        **fields,
    }


def confirmation(**fields: str) -> dict[str, str]:
    """The question whether we want the subscription."""
    asked = {"Type": "SubscriptionConfirmation", "Token": "2336412f37", "SubscribeURL": SUBSCRIBE_URL}
    message = notification(**asked) | fields
    return {name: value for name, value in message.items() if name not in ("Subject", "UnsubscribeURL")}


class Amazon:
    """What is at each URL, and which were asked for."""

    def __init__(self) -> None:
        self.pages = {CERTIFICATE_URL: certificate(), SUBSCRIBE_URL: b"<xml/>"}
        self.asked: list[str] = []

    async def fetch(self, url: str) -> bytes:
        """The page, or what the real function raises."""
        self.asked.append(url)
        if url not in self.pages:
            raise Unavailable("Amazon does not answer.")
        return self.pages[url]


@pytest.fixture
def amazon() -> Amazon:
    """As it should be."""
    return Amazon()


@pytest.fixture
def topic(amazon: Amazon) -> Topic:
    """Ours."""
    return Topic(ARN, amazon.fetch)


def test_what_is_signed_are_names_and_values_in_the_order_of_the_guide() -> None:
    """Letter by letter; a subject only if there is one."""
    message = {
        "Type": "Notification",
        "MessageId": "id",
        "TopicArn": "arn",
        "Message": "two\nlines",
        "Timestamp": "when",
        "UnsubscribeURL": "not signed",
    }
    assert canonical_string(message) == (
        "Message\ntwo\nlines\nMessageId\nid\nTimestamp\nwhen\nTopicArn\narn\nType\nNotification\n"
    )
    assert canonical_string(message | {"Subject": "s"}) == (
        "Message\ntwo\nlines\nMessageId\nid\nSubject\ns\nTimestamp\nwhen\nTopicArn\narn\nType\nNotification\n"
    )
    asked = {"Type": "SubscriptionConfirmation", "SubscribeURL": "url", "Token": "t", "Subject": "not signed"}
    assert canonical_string(message | asked) == (
        "Message\ntwo\nlines\nMessageId\nid\nSubscribeURL\nurl\nTimestamp\nwhen\nToken\nt\n"
        "TopicArn\narn\nType\nSubscriptionConfirmation\n"
    )


@pytest.mark.parametrize(
    ("arn", "origin"),
    [
        (ARN, HOST),
        ("arn:aws-us-gov:sns:us-gov-west-1:111122223333:a", "https://sns.us-gov-west-1.amazonaws.com"),
        ("arn:aws-cn:sns:cn-north-1:111122223333:a", "https://sns.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_the_host_is_that_of_the_region_of_the_topic(arn: str, origin: str) -> None:
    """China has a domain of its own."""
    assert origin_of(arn) == origin


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_message_with_its_signature_is_believed(version: str, topic: Topic) -> None:
    """In both of the ways in which SNS signs."""
    await topic.admit(signed(notification(SignatureVersion=version)), at=NOW)


async def test_a_message_without_a_subject_is_believed(topic: Topic) -> None:
    """Not every one has one."""
    message = notification()
    del message["Subject"]
    await topic.admit(signed(message), at=NOW)


async def test_the_certificate_is_fetched_once(topic: Topic, amazon: Amazon) -> None:
    """And then kept."""
    for _ in range(3):
        await topic.admit(signed(notification()), at=NOW)
    assert amazon.asked == [CERTIFICATE_URL]


@pytest.mark.parametrize(
    "name", ["Message", "MessageId", "Subject", "Timestamp", "Type", "Signature", "SignatureVersion"]
)
async def test_a_message_that_was_tampered_with_is_refused(name: str, topic: Topic) -> None:
    """Whatever was changed, left out, or is no text."""
    message = json.loads(signed(notification()))
    later = (NOW + timedelta(seconds=1)).isoformat()
    others: list[object] = [later, "1", "UnsubscribeConfirmation", "\ud800", "ä", None, 3, {}]
    for body in [message | {name: other} for other in others] + [message | {name: message[name] + "A"}]:
        with pytest.raises(Unauthenticated):
            await topic.admit(json.dumps(body).encode(), at=NOW)
    del message[name]
    with pytest.raises(Unauthenticated):
        await topic.admit(json.dumps(message).encode(), at=NOW)


async def test_a_message_signed_by_somebody_else_is_refused(topic: Topic) -> None:
    """With a key that is not in the certificate."""
    other = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    with pytest.raises(Unauthenticated, match="wrong"):
        await topic.admit(signed(notification(), key=other), at=NOW)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://attacker.example/SimpleNotificationService-0123abc.pem",
        "https://sns.eu-central-1.amazonaws.com.attacker.example/SimpleNotificationService-0.pem",
        "https://sns.eu-central-1.amazonaws.com@attacker.example/SimpleNotificationService-0.pem",
        "https://attacker.example/sns.eu-central-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://snsXeu-central-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://s3.eu-central-1.amazonaws.com/SimpleNotificationService-0.pem",
        "http://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0.pem",
        f"{HOST}:8443/SimpleNotificationService-0.pem",
        f"{HOST}/?Action=Something&x=/SimpleNotificationService-0.pem",
        f"{HOST}/SimpleNotificationService-0.pem?x",
        f"{HOST}/SimpleNotificationService-../x.pem",
        f"{CERTIFICATE_URL}\n",
    ],
)
async def test_a_certificate_from_elsewhere_is_not_even_fetched(
    url: str, topic: Topic, amazon: Amazon
) -> None:
    """It proves nothing, even if the signature fits it."""
    amazon.pages[url] = certificate()
    with pytest.raises(Unauthenticated, match="certificate"):
        await topic.admit(signed(notification(SigningCertURL=url)), at=NOW)
    assert not amazon.asked


@pytest.mark.parametrize("arn", ["arn:aws:sns:eu-central-1:444455556666:uploads", ARN + "2", ""])
async def test_a_message_of_another_topic_is_refused(arn: str, topic: Topic, amazon: Amazon) -> None:
    """SNS signs for everybody."""
    for message in (notification(TopicArn=arn), confirmation(TopicArn=arn)):
        with pytest.raises(Unauthenticated, match="topic"):
            await topic.admit(signed(message), at=NOW)
    assert not amazon.asked


async def test_an_old_message_is_refused(topic: Topic) -> None:
    """Whoever overheard it cannot send it for ever."""
    body = signed(notification())
    await topic.admit(body, at=NOW + timedelta(hours=1))
    with pytest.raises(Unauthenticated, match="old"):
        await topic.admit(body, at=NOW + timedelta(hours=1, seconds=1))


@pytest.mark.parametrize("timestamp", ["", "yesterday", "2026-06-01T12:00:00"])
async def test_a_message_without_a_time_is_refused(timestamp: str, topic: Topic) -> None:
    """Nobody could say how old it is."""
    with pytest.raises(Unauthenticated, match="when"):
        await topic.admit(signed(notification(Timestamp=timestamp)), at=NOW)


@pytest.mark.parametrize(
    "pem", [certificate(until=NOW - timedelta(days=1)), certificate(ec.generate_private_key(ec.SECP256R1()))]
)
async def test_a_certificate_that_cannot_have_signed_it_is_refused(
    pem: bytes, topic: Topic, amazon: Amazon
) -> None:
    """It is out of date, or of a kind that SNS does not use."""
    amazon.pages[CERTIFICATE_URL] = pem
    with pytest.raises(Unauthenticated):
        await topic.admit(signed(notification()), at=NOW)


async def test_without_the_certificate_the_message_has_to_come_again(topic: Topic, amazon: Amazon) -> None:
    """Amazon does not answer, or with something else; nothing of that is kept."""
    pem = amazon.pages.pop(CERTIFICATE_URL)
    later = NOW + timedelta(seconds=5)
    with pytest.raises(Unavailable):
        await topic.admit(signed(notification()), at=NOW)
    amazon.pages[CERTIFICATE_URL] = b"<html>"
    with pytest.raises(Unavailable):
        await topic.admit(signed(notification()), at=later)
    amazon.pages[CERTIFICATE_URL] = pem
    await topic.admit(signed(notification()), at=later + timedelta(seconds=5))


async def test_strangers_cannot_have_certificates_fetched_without_end(topic: Topic, amazon: Amazon) -> None:
    """One that nobody knows is asked for now and then; the one that is known is always there."""
    await topic.admit(signed(notification()), at=NOW)
    later = NOW + timedelta(minutes=1)
    for name in ("a", "b", "c"):
        url = CERTIFICATE_URL.replace("0123abc", name)
        with pytest.raises(Unavailable):
            await topic.admit(signed(notification(SigningCertURL=url)), at=later)
    await topic.admit(signed(notification()), at=later)
    assert len(amazon.asked) == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"Records": []}'])
async def test_nonsense_is_not_believed(body: bytes, topic: Topic) -> None:
    """Nor is what SNS delivers raw, without an envelope: nobody signed it."""
    with pytest.raises(Unauthenticated):
        await topic.admit(body, at=NOW)


async def test_the_subscription_to_our_topic_is_confirmed(topic: Topic, amazon: Amazon) -> None:
    """By fetching what SNS says, after everything was checked."""
    await topic.admit(signed(confirmation()), at=NOW)
    assert amazon.asked == [CERTIFICATE_URL, SUBSCRIBE_URL]


@pytest.mark.parametrize(
    "url",
    [
        "https://attacker.example/?Action=ConfirmSubscription&Token=1",
        "http://169.254.169.254/?Action=ConfirmSubscription&Token=1",
        SUBSCRIBE_URL.replace("https", "http"),
        SUBSCRIBE_URL.replace("eu-central-1", "us-east-1", 1),
        SUBSCRIBE_URL.replace("ConfirmSubscription", "Unsubscribe"),
        SUBSCRIBE_URL + " x",
    ],
)
async def test_no_other_url_is_ever_fetched(url: str, topic: Topic, amazon: Amazon) -> None:
    """Not even a signed one."""
    with pytest.raises(Unauthenticated, match="confirm"):
        await topic.admit(signed(confirmation(SubscribeURL=url)), at=NOW)
    assert amazon.asked == [CERTIFICATE_URL]


async def test_a_confirmation_that_was_tampered_with_fetches_nothing(topic: Topic, amazon: Amazon) -> None:
    """The signature comes first."""
    body = json.loads(signed(confirmation())) | {"SubscribeURL": SUBSCRIBE_URL + "0"}
    with pytest.raises(Unauthenticated, match="wrong"):
        await topic.admit(json.dumps(body).encode(), at=NOW)
    assert amazon.asked == [CERTIFICATE_URL]


async def test_a_confirmation_that_does_not_succeed_has_to_come_again(topic: Topic, amazon: Amazon) -> None:
    """SNS asks once more after a 503."""
    del amazon.pages[SUBSCRIBE_URL]
    with pytest.raises(Unavailable):
        await topic.admit(signed(confirmation()), at=NOW)


async def test_the_end_of_a_subscription_is_only_taken_note_of(topic: Topic, amazon: Amazon) -> None:
    """Its URL would subscribe us again."""
    await topic.admit(signed(confirmation(Type="UnsubscribeConfirmation")), at=NOW)
    assert amazon.asked == [CERTIFICATE_URL]
