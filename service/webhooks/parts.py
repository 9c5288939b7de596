"""The webhooks of a gateway, built from its settings."""

from __future__ import annotations

from jobs.errors import AddressRefused, WebhooksDisabled
from jobs.terms import WebhookTarget
from service.outbound.addresses import AllowedAddresses, read_networks
from service.outbound.client import OutboundClient
from service.outbound.urls import literal_address
from service.settings import GatewaySettings
from service.webhooks.sending import WebhookSender
from service.webhooks.signature import Signer


class Webhooks:
    """Checks the URLs of callers, and sends to them."""

    def __init__(self, settings: GatewaySettings, client: OutboundClient) -> None:
        self._settings = settings
        self._client = client
        self._allowed = AllowedAddresses(read_networks(settings.outbound_allow_private))

    @property
    def enabled(self) -> bool:
        """Whether there is a secret to sign with."""
        return bool(self._settings.webhook_secrets)

    def target(self, url: str) -> WebhookTarget:
        """Return the target of a caller's URL. A name is not resolved before the delivery, which
        checks its addresses then. Raises WebhooksDisabled and AddressRefused."""
        if not self.enabled:
            raise WebhooksDisabled
        parsed = self._client.parse(url)
        host = parsed.raw_host.decode("ascii").lower().removesuffix(".")
        literal = literal_address(host)
        if literal is not None and literal not in self._allowed:
            raise AddressRefused
        return WebhookTarget(str(parsed), host)

    def sender(self) -> WebhookSender:
        """Return what sends webhooks, signed with the secrets."""
        settings = self._settings
        secrets = [secret.get_secret_value() for secret in settings.webhook_secrets]
        return WebhookSender(
            self._client, Signer(secrets), settings.root_path, settings.webhook_timeout_seconds
        )
