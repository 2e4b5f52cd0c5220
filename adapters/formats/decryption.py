"""A workbook with an opening password is opened in the limited child: the common default silently, or the one given once."""

import io
import types
from typing import BinaryIO

import msoffcrypto
from msoffcrypto.exceptions import InvalidKeyError
from msoffcrypto.format import xls97

from adapters.formats.unreadable import UnreadableFile, unreadable

# What Excel itself uses when a workbook is only protected against changes; it opens such a file without asking.
DEFAULT_PASSWORD = "VelvetSweatshop"  # noqa: S105 - written in the standard, secret to nobody

# The library would write a temporary file; the child can write none.
xls97.tempfile = types.SimpleNamespace(TemporaryFile=io.BytesIO)


def decrypted(file: BinaryIO, password: str | None) -> io.BytesIO:
    """The workbook as it is without its password. Raises UnreadableFile F_PASSWORD or F_WRONG_PASSWORD."""
    given = [password] if password else []
    for attempt in [*given, DEFAULT_PASSWORD]:
        content = io.BytesIO()
        try:
            _decrypt(file, attempt, content)
        except InvalidKeyError:
            continue
        except MemoryError:
            raise
        except Exception as error:  # an encryption the library does not know shows in many ways
            if password:
                raise unreadable("encryption", error=type(error).__name__) from None
            break
        content.seek(0)
        return content
    raise UnreadableFile("F_WRONG_PASSWORD" if password else "F_PASSWORD")


def _decrypt(file: BinaryIO, password: str, content: io.BytesIO) -> None:
    file.seek(0)
    book = msoffcrypto.OfficeFile(file)
    if book.format == "ooxml":
        book.load_key(password=password, verify_password=True)
    else:
        book.load_key(password=password)
    book.decrypt(content)
