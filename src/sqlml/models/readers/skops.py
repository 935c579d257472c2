"""skops files: data, once every type that they name is on our list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skops.io import get_untrusted_types
from skops.io import load as load_skops

from sqlml.errors import NotTrusted, quoted
from sqlml.models.trust import trusted_types


def load_checked(path: Path, *, trusted: bool, model: str) -> Any:
    """The object in a skops file.

    Raises:
        NotTrusted: it names types beyond the trusted ones, and `trusted` is False.
    """
    named = get_untrusted_types(file=path)
    allowed, refused = trusted_types(named)
    if refused and not trusted:
        detail = f"it makes objects of the unknown types {quoted(refused[:5])}"
        raise NotTrusted(model=model, format="skops", detail=detail)
    return load_skops(path, trusted=allowed + refused)
