"""Certificates for the tests: an authority of a test's own, and what it signs."""

import datetime
import ipaddress
import itertools
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Certificate:
    """The PEM files of a certificate and of its key."""

    file: Path
    key: Path


class Authority:
    """Signs certificates. `file` is its own."""

    def __init__(self, folder, name):
        self.folder, self.name = Path(folder), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.numbers = itertools.count(1)
        self.prefix = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(self.name, self.key, (-DAY, DAY))
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        builder = builder.add_extension(usage, True)
        self.file = self.folder / f"{name}.pem"
        self.file.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(PEM))

    def signs(self, address="127.0.0.1", valid=(-DAY, DAY)):
        """A certificate for a server of this address, or for a client; `valid` is from when to when, seen from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = f"{self.prefix}-{next(self.numbers)}"
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, valid)
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(names, False).add_extension(both, False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        found = Certificate(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        found.file.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(PEM))
        found.key.write_bytes(
            key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return found

    def _builder(self, subject, key, valid):
        now = datetime.datetime.now(datetime.UTC)
        start, end = (now + offset for offset in valid)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
        )
