"""Removal of passwords, signatures and tokens from texts that are shown, logged or recorded.

What is masked: the password of a URL (`https://user:SECRET@host`), and values of query parameters that sign or
authorize a request (`?X-Amz-Signature=...`, `?sig=...`, `?token=...`).
"""

import re

MASK = "***"

# user:password@ between :// and the end of the host part; the password may hold anything but / ? # and spaces.
USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^\s/?#:@'\"]*):([^\s/?#]*)@")
# A token in the place of the user's name, as of some package indexes and git hosts: https://TOKEN@host.
LONE_USER = re.compile(r"(https?://)([^\s/?#:@'\"]{16,})@")
SECRET_NAMES = (
    r"(?:[\w.-]*[-_.])?(?:signature|credential|security-token|password|passwd|secret|token|sig|auth|api[-_]?key|apikey"
    r"|access[-_]?key(?:[-_]?id)?|secret[-_]?access[-_]?key|awsaccesskeyid|googleaccessid|key|code)"
)
QUERY = re.compile(rf"([?&;]{SECRET_NAMES}=)([^\s&#;,'\"<>)]+)", re.IGNORECASE)


def mask_credentials(text: str) -> str:
    """Return `text` with passwords, signatures and tokens of all URLs in it replaced by ***."""
    if "://" not in text and "=" not in text:
        return text
    text = USERINFO.sub(rf"\1\2:{MASK}@", text)
    text = LONE_USER.sub(rf"\1{MASK}@", text)
    return QUERY.sub(rf"\g<1>{MASK}", text)
