"""Signatures: the standard's own example, and its public library."""

from __future__ import annotations

import base64
import time

import pytest
from pydantic import ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from service.settings import GatewaySettings
from service.webhooks.signature import Signer, key_of

SECRETS = tuple("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


def test_the_example_of_the_standard() -> None:
    signer = Signer(["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])
    body = b'{"email":"test@example.com","username":"test_user"}'
    headers = signer.headers("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553, body)
    assert headers == {
        "webhook-id": "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        "webhook-timestamp": "1649367553",
        "webhook-signature": "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
    }


@pytest.mark.parametrize("secret", SECRETS)
def test_receivers_with_the_old_and_with_the_new_secret_verify(secret: str) -> None:
    body = b'{"type":"job.succeeded"}'
    headers = Signer(SECRETS).headers("msg_1", int(time.time()), body)
    assert len(headers["webhook-signature"].split()) == 2
    assert Webhook(secret).verify(body, headers) == {"type": "job.succeeded"}
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_MfKQ9r8",
        SECRETS[0][6:],
        "whsec_" + "A" * 88 + "AAAA",
        "whsec_!" + "A" * 35,
    ],
)
def test_a_secret_that_is_none_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_ and base64 of 24 to 64 bytes"):
        key_of(secret)
    with pytest.raises(ValidationError) as error:
        GatewaySettings.model_validate({"webhook_secrets": (SECRETS[1], secret)})
    assert SECRETS[1] not in str(error.value)


def test_secrets_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSR_WEBHOOK_SECRETS", ",".join(SECRETS))
    settings = GatewaySettings()
    assert tuple(s.get_secret_value() for s in settings.webhook_secrets) == SECRETS
    assert SECRETS[0] not in repr(settings)
