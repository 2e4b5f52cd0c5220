"""The hub's public keys: whoever gets its receipts or its webhooks checks their signatures with them."""

from __future__ import annotations

import base64
from typing import Any

from litestar import Controller, get
from litestar.di import NamedDependency

from hub.keyring import Keyring
from hub.registry.permissions import Right


class SigningKeyController(Controller):
    """/v1/keys."""

    @get("/keys", opt={"right": Right.PUBLIC}, sync_to_thread=False, summary="枢纽的公钥 / The hub's public keys")
    def list_keys(self, keyring: NamedDependency[Keyring]) -> dict[str, Any]:
        known = [
            {
                "kid": key_id,
                "algorithm": "ed25519",
                "public_key": base64.b64encode(key).decode(),
                "current": key_id == keyring.signing_key_id,
            }
            for key_id, key in keyring.public_keys.items()
        ]
        return {"data": known, "next": None, "meta": {"count": len(known)}}
