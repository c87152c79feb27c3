"""Pages as a reader sees them."""

from __future__ import annotations

import html
import re

from django.http import HttpResponse


def page_text(response: HttpResponse, *, status: int = 200) -> str:
    """The page's text, tags and runs of space made one space each. Fails where the status is another."""
    page = re.sub(r"(?s)<(script|style)\b.*?</\1>", " ", response.content.decode())
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    assert response.status_code == status, text
    return text
