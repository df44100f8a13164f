"""The key of the hashes by which members compare organisations and credentials without naming them.

Root's install gives every member of a host the same key; the extension makes one where there is none. It never leaves
the state folder.
"""

import hashlib
import hmac
from pathlib import Path
from typing import Final

from tokmon.paths import Paths
from tokmon.store.atomic import create_new, replace_private
from tokmon.store.opener import read_own_file

KEY_BYTES: Final = 32
FILE: Final = "identity.key"
_HASH: Final = 16
"""Hexadecimal digits of a hash."""


def read_key(paths: Paths) -> bytes | None:
    """The key of this member; None if there is none yet, or if others may have written it."""
    return key_in(paths.state / FILE)


def key_in(path: Path) -> bytes | None:
    """The key in a file, as `read_key`."""
    try:
        key = read_own_file(path, KEY_BYTES)
    except OSError:
        return None
    return key if len(key) == KEY_BYTES else None


def share_key(paths: Paths) -> None:
    """Have all identities of one user use one key: that of the first which published. OSError or StoreError if not.

    The pool must be the user's own: there is no root's install which gives them one.
    """
    common = paths.pool / f".{FILE}"
    own = read_key(paths)
    if own is not None:
        create_new(common, own)
    key = key_in(common)
    if key is not None and key != own:
        replace_private(paths.state / FILE, key)


def hash_of(key: bytes, text: str) -> str:
    """A hash which only those who have the key can make; as in `extensions/tokmon/identity.ts`."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:_HASH]


def hash_of_account(key: bytes, account: str) -> str:
    """The hash by which members name an organisation or a ChatGPT account; "" where none is named."""
    return account and hash_of(key, f"account:{account}")


def fingerprint_of(key: bytes) -> str:
    """What tells this key from another, and nothing else of it."""
    return hash_of(key, FILE)
