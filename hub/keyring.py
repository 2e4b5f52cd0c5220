"""The hub's own keys: it signs receipts, digests contents and seals clinical fields with them.

One file, ``<home>/keys/keyring.json`` (0600), made on first start. Every key has an id, so that one can be
replaced while what was signed or sealed before stays readable. ``public_keys.json`` beside it may be given away.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.errors import HubError

_KEY_BYTES = 32
_NONCE_BYTES = 12
_ID_BYTES = 4
_FILE = "keyring.json"
_PUBLIC_FILE = "public_keys.json"


class KeysUnreadable(HubError):
    """密钥文件无法读取，请检查 keys 文件夹或从备份恢复。 The keys cannot be read: check the keys folder or restore a backup."""

    problem = "keys-unreadable"


class SealedElsewhere(HubError):
    """密文不是用现有密钥加密的。 This was not sealed with a key this hub has."""

    problem = "sealed-elsewhere"


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds; bytes are base64 in JSON. Ids are 8 hexadecimal digits."""

    signing: dict[str, bytes]  # id -> ed25519 seed
    signing_current: str
    digest: bytes
    sealing: dict[str, bytes]  # id -> AES-256 key
    sealing_current: str


class Keyring:
    """Keys in memory. ``Keyring.load(home)`` is how to get one."""

    def __init__(self, kept: _Kept) -> None:
        self._kept = kept
        self._signing = {key_id: Ed25519PrivateKey.from_private_bytes(seed) for key_id, seed in kept.signing.items()}
        self._sealing = {bytes.fromhex(key_id): AESGCM(key) for key_id, key in kept.sealing.items()}

    @classmethod
    def load(cls, home: Path) -> Keyring:
        """The home's keys; made now if it has none yet."""
        path = home / "keys" / _FILE
        if not path.exists():
            _write_first(path, _new_kept())
        return cls(_read(path))

    @property
    def digest_key(self) -> bytes:
        """32 bytes for keyed digests of contents."""
        return self._kept.digest

    @property
    def audit_key(self) -> bytes:
        """32 bytes that mark audit lines as the hub's own; made from the digest key, so that old keyrings have it."""
        return hmac.digest(self._kept.digest, b"hub audit lines", "sha256")

    @property
    def signing_key_id(self) -> str:
        return self._kept.signing_current

    @property
    def public_keys(self) -> dict[str, bytes]:
        """Every public key ever used here, by id: raw 32 bytes."""
        return {key_id: key.public_key().public_bytes_raw() for key_id, key in self._signing.items()}

    def sign(self, content: bytes) -> bytes:
        """64 bytes, ed25519, by the current signing key."""
        return self._signing[self._kept.signing_current].sign(content)

    def seal(self, contents: list[bytes]) -> list[bytes]:
        """Each content as one AES-256-GCM blob: key id, nonce, ciphertext with tag. The id is authenticated too."""
        key_id = bytes.fromhex(self._kept.sealing_current)
        key = self._sealing[key_id]
        nonces = os.urandom(_NONCE_BYTES * len(contents))
        return [
            key_id + nonce + key.encrypt(nonce, content, key_id)
            for content, nonce in zip(contents, _cut(nonces, _NONCE_BYTES), strict=True)
        ]

    def unseal(self, blobs: list[bytes]) -> list[bytes]:
        """The contents of what ``seal`` made, by whichever key made it."""
        return [self._open(blob) for blob in blobs]

    def _open(self, blob: bytes) -> bytes:
        key_id, nonce, sealed = (
            blob[:_ID_BYTES],
            blob[_ID_BYTES : _ID_BYTES + _NONCE_BYTES],
            blob[_ID_BYTES + _NONCE_BYTES :],
        )
        try:
            return self._sealing[key_id].decrypt(nonce, sealed, key_id)
        except (KeyError, InvalidTag) as wrong:
            raise SealedElsewhere(key_id.hex()) from wrong


def is_signed_by(public_keys: Mapping[str, bytes], key_id: str, content: bytes, signature: bytes) -> bool:
    """Whether ``signature`` over ``content`` was made by the key of that id. Needs no secret."""
    raw = public_keys.get(key_id)
    if raw is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, content)
    except InvalidSignature:
        return False
    return True


def read_public_keys(path: Path) -> dict[str, bytes]:
    """The keys of a ``public_keys.json`` handed over by a hub."""
    try:
        return {key_id: base64.b64decode(key) for key_id, key in json.loads(path.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError) as wrong:
        raise KeysUnreadable(str(path)) from wrong


def _cut(content: bytes, size: int) -> Iterable[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def _new_kept() -> _Kept:
    signing_id, sealing_id = secrets.token_hex(_ID_BYTES), secrets.token_hex(_ID_BYTES)
    return _Kept(
        signing={signing_id: os.urandom(_KEY_BYTES)},
        signing_current=signing_id,
        digest=os.urandom(_KEY_BYTES),
        sealing={sealing_id: os.urandom(_KEY_BYTES)},
        sealing_current=sealing_id,
    )


def _read(path: Path) -> _Kept:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError) as wrong:
        raise KeysUnreadable(str(path)) from wrong


def _write_first(path: Path, kept: _Kept) -> None:
    """Two processes may start at once: both write their own, ``link`` lets exactly one be the first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mine = path.with_name(f".{secrets.token_hex(8)}")
    _write_durably(mine, msgspec.json.encode(kept), 0o600)
    try:
        os.link(mine, path)
    except FileExistsError:
        pass
    else:
        _write_durably(path.with_name(_PUBLIC_FILE), _public_json(kept), 0o644)
    finally:
        mine.unlink()
    _sync_folder(path.parent)


def _public_json(kept: _Kept) -> bytes:
    keys = Keyring(kept).public_keys
    return json.dumps({key_id: base64.b64encode(key).decode() for key_id, key in keys.items()}, indent=1).encode()


def _write_durably(path: Path, content: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
