"""Certificates and SSH keys as machines hand them in: read, found strong enough, and named by their fingerprint."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key

from hub.errors import BadRequest

_LEAST_RSA_BITS_OF_SSH = 3072
_LEAST_RSA_BITS_OF_CERTIFICATE = 2048  # what internal authorities still issue
_FINGERPRINT_DIGITS = 16


class PublicKeyRefused(BadRequest):
    """证书或公钥不能登记。 This certificate or public key cannot be registered."""

    problem = "public-key-refused"


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a certificate or an SSH key: nothing of it is secret."""

    fingerprint: str  # shown; the registry's prefix
    digest: bytes  # sha256 of the certificate's DER, or of the SSH key's blob
    text: str  # subject, or the public key's line without its comment
    not_after: datetime | None = None


def read_certificate(pem_or_der: bytes) -> PublicKey:
    """The client certificate of a system (X.509). Whether its owner is there is the TLS server's to find out."""
    certificate = _parse_certificate(pem_or_der)
    _refuse_weak_certificate(certificate)
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    return PublicKey(
        fingerprint=certificate_fingerprint(digest),
        digest=digest,
        text=certificate.subject.rfc4514_string(),
        not_after=certificate.not_valid_after_utc,
    )


def certificate_fingerprint(digest: bytes) -> str:
    return f"cert_{digest.hex()[:_FINGERPRINT_DIGITS]}"


def _parse_certificate(pem_or_der: bytes) -> x509.Certificate:
    try:
        if pem_or_der.lstrip().startswith(b"-----"):
            return x509.load_pem_x509_certificate(pem_or_der)
        return x509.load_der_x509_certificate(pem_or_der)
    except ValueError:
        raise PublicKeyRefused(
            "读不出证书，请提交 PEM 或 DER 格式的 X.509 证书。 No certificate can be read: send X.509 in PEM or DER."
        ) from None


def _refuse_weak_certificate(certificate: x509.Certificate) -> None:
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):  # SM2 and others the proxy knows and this library does not
        return
    if isinstance(key, RSAPublicKey) and key.key_size < _LEAST_RSA_BITS_OF_CERTIFICATE:
        raise PublicKeyRefused(
            f"证书的 RSA 密钥只有 {key.key_size} 位，至少须 {_LEAST_RSA_BITS_OF_CERTIFICATE} 位。"
            f" Its RSA key has {key.key_size} bits; at least {_LEAST_RSA_BITS_OF_CERTIFICATE} are needed."
        )


def read_ssh_key(line: str) -> PublicKey:
    """One line of an OpenSSH ``.pub`` file: ssh-ed25519, or ssh-rsa of at least 3072 bits."""
    blob = _ssh_blob(line)
    digest = hashlib.sha256(blob).digest()
    shown = base64.b64encode(digest).decode().rstrip("=")
    return PublicKey(fingerprint=f"SHA256:{shown}", digest=digest, text=" ".join(line.split()[:2]))


def _ssh_blob(line: str) -> bytes:
    if "PRIVATE KEY" in line:
        raise PublicKeyRefused(
            "这是私钥：请勿交给任何人，只提交 .pub 文件里的一行，并换一对新密钥。"
            " This is the private key: give it to nobody, make a new pair and send the line of its .pub file."
        )
    try:
        [only] = line.strip().splitlines()
        key = load_ssh_public_key(only.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise PublicKeyRefused(_UNREADABLE_SSH) from None
    if isinstance(key, RSAPublicKey) and key.key_size < _LEAST_RSA_BITS_OF_SSH:
        raise PublicKeyRefused(
            f"RSA 密钥只有 {key.key_size} 位，至少须 {_LEAST_RSA_BITS_OF_SSH} 位；建议改用 ed25519。"
            f" This RSA key has {key.key_size} bits; at least {_LEAST_RSA_BITS_OF_SSH} are needed. ed25519 is better."
        )
    if not isinstance(key, Ed25519PublicKey | RSAPublicKey):
        raise PublicKeyRefused(_UNREADABLE_SSH)
    return base64.b64decode(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])


_UNREADABLE_SSH = (
    "只接受 ssh-ed25519 或不少于 3072 位的 ssh-rsa 公钥，请运行 ssh-keygen -t ed25519，提交 .pub 文件里的一行。"
    " Only ssh-ed25519, or ssh-rsa of at least 3072 bits: run ssh-keygen -t ed25519 and send the line of its .pub file."
)
