"""A person's own e-mail address: it counts once they have opened the link that was sent there.

Owners add members by their address, so nobody may have one that is not theirs.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.db.models import Q

from datasets.models import User

from .errors import Refused

LASTS = timedelta(days=1)
PAUSE = timedelta(minutes=1)
"""Between two messages that one person has sent."""
SALT = "datasets.email"
NO_SERVER = "This installation has no mail server to confirm an address with: an administrator can enter yours."


def can_mail() -> bool:
    """Whether this installation has been told a mail server."""
    return bool(settings.EMAIL_HOST)


def drop_email(*, user: User) -> None:
    user.email = ""
    user.save(update_fields=["email"])


def ask_for_email(*, user: User, email: str) -> None:
    """Whether a message may be sent there; whoever calls has `send_confirmation` send it. Raises Refused."""
    if not can_mail():
        raise Refused(NO_SERVER, field="email")
    if email == user.email:
        raise Refused("This is your address already.", field="email")
    _check_free(user, email)
    if not cache.add(f"email-confirmation-{user.pk}", True, PAUSE.total_seconds()):
        raise Refused("A message was sent less than a minute ago: wait a moment before the next.", field="email")


def send_confirmation(*, user: User, email: str, link: str) -> None:
    """Raises OSError when the mail server does not take it."""
    text = (
        f"{user} on {settings.SITE_URL} wants messages to be sent to this address.\n\n"
        f"Open this link within a day to confirm it:\n{settings.SITE_URL}{link}\n\n"
        "If that was not you, there is nothing to do.\n"
    )
    EmailMessage("Confirm your e-mail address for AfterImage", text, to=[email]).send()


def token_for(*, user: User, email: str) -> str:
    """Good for this person alone, for a day, and until their address has changed."""
    return signing.dumps([user.pk, user.email, email], salt=SALT)


def asked_email(*, user: User, token: str) -> str:
    """The address that a token is for. Raises Refused when it is none of this person's that still counts."""
    try:
        pk, before, email = signing.loads(token, salt=SALT, max_age=LASTS)
    except signing.BadSignature as error:
        raise Refused("This link is broken or older than a day: ask for another one.") from error
    if pk != user.pk:
        raise Refused("This link is for somebody else: log in as the one who asked for it.")
    if before != user.email:
        raise Refused("Your address has changed since this link was sent: ask for another one.")
    _check_free(user, email)
    return email


def confirm_email(*, user: User, token: str) -> None:
    """Raises Refused."""
    user.email = asked_email(user=user, token=token)
    user.save(update_fields=["email"])


def _check_free(user: User, email: str) -> None:
    if User.objects.exclude(pk=user.pk).filter(Q(email__iexact=email) | Q(username__iexact=email)).exists():
        raise Refused("Somebody else here has this address: choose another one.", field="email")
