"""Alerts: what a project watches its runs for, what has gone wrong, and who was told."""

from __future__ import annotations

from typing import Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from datasets.models import Membership, Project, User
from generation import secrets

from .endpoints import check_web_address
from .runs import Run

DAY = 24 * 60


class AlertRule(models.Model):
    """One thing that a project is warned of. A threshold that is a share goes from 0 to 1."""

    class Kind(models.TextChoices):
        LOW_SUCCESS_RATE = "low_success_rate", "Few conversations succeed"
        HIGH_ERROR_RATE = "high_error_rate", "Many attempts fail"
        SLOW_GENERATION = "slow_generation", "Conversations take long"
        PROMPT_TOKENS = "prompt_tokens", "Long prompts"
        COMPLETION_TOKENS = "completion_tokens", "Long replies"
        TOTAL_TOKENS = "total_tokens", "Large calls"
        EVALUATION_ERROR_RATE = "evaluation_error_rate", "The judge fails"
        LONG_CONVERSATIONS = "long_conversations", "Long conversations"
        BUDGET = "budget", "A budget is nearly used"
        SPENDING = "spending", "Spending"

    class Severity(models.TextChoices):
        WARNING = "warning", "Warning"
        ERROR = "error", "Error"

    project = models.ForeignKey(Project, models.CASCADE, related_name="alert_rules")
    kind = models.CharField(max_length=25, choices=Kind)
    threshold = models.FloatField(validators=[MinValueValidator(0)])
    window = models.PositiveIntegerField(
        default=5, validators=[MinValueValidator(1), MaxValueValidator(31 * DAY)], help_text="Minutes looked back."
    )
    min_samples = models.PositiveIntegerField(
        default=5, validators=[MinValueValidator(1)], help_text="With fewer of them in the window nothing is said."
    )
    severity = models.CharField(max_length=10, choices=Severity, default=Severity.WARNING)
    active = models.BooleanField(default=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["project", "kind"], name="one_alert_rule_a_kind")]

    def __str__(self) -> str:
        return self.get_kind_display()


class AlertQuerySet(models.QuerySet["Alert"]):
    def standing(self) -> Self:
        """Those whose rule still holds."""
        return self.filter(ended=None)

    def unseen(self) -> Self:
        """Those that nobody has acknowledged, whether they still stand or not."""
        return self.filter(acknowledged=None)

    def for_list(self) -> Self:
        return self.select_related("rule", "run", "acknowledged_by").order_by("-pk")


class Alert(models.Model):
    """A rule that was broken, from when it began until it no longer was. At most one stands for a rule and a run."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="alerts", db_index=False)
    rule = models.ForeignKey(AlertRule, models.CASCADE, related_name="alerts", db_index=False)
    run = models.ForeignKey(Run, models.CASCADE, null=True, related_name="alerts")
    severity = models.CharField(max_length=10, choices=AlertRule.Severity)
    value = models.FloatField(help_text="What was measured last, in the unit of the rule's threshold.")
    sentence = models.CharField(max_length=300)
    count = models.PositiveIntegerField(default=1, help_text="How many times in a row the rule was found broken.")
    began = models.DateTimeField()
    last_seen = models.DateTimeField()
    ended = models.DateTimeField(null=True)
    acknowledged = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "run"], condition=Q(ended=None), nulls_distinct=False, name="one_standing_alert"
            ),
        ]
        indexes = [
            models.Index(fields=["project", "-id"], name="alert_newest"),
            models.Index(fields=["project", "-id"], name="alert_unseen", condition=Q(acknowledged=None)),
            models.Index(fields=["rule", "run", "-id"], name="alert_by_rule"),
        ]

    def __str__(self) -> str:
        return self.sentence

    @property
    def is_standing(self) -> bool:
        return self.ended is None


class AlertMail(models.Model):
    """That a member wants the alerts of the project by e-mail."""

    membership = models.OneToOneField(Membership, models.CASCADE, related_name="alert_mail")
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.membership)


class AlertWebhook(models.Model):
    """Where a project's alerts are posted to, and the secret that they are signed with, encrypted."""

    project = models.OneToOneField(Project, models.CASCADE, related_name="alert_webhook")
    url = models.CharField("address", max_length=500, validators=[check_web_address])
    ciphertext = models.BinaryField(editable=False)
    active = models.BooleanField(default=True)
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.url

    def seal(self, secret: str) -> None:
        self.ciphertext = secrets.encrypt(secret)

    def reveal(self) -> str:
        """Raises `generation.secrets.Undecryptable`."""
        return secrets.decrypt(bytes(self.ciphertext))


class AlertDelivery(models.Model):
    """One message that tells somebody of an alert, written with it, so that it is sent at least once.

    `alert` is None for a test. Whoever sends it first puts `not_before` off, so that a second worker leaves it alone
    and it is taken up again if the first one dies.
    """

    class Channel(models.TextChoices):
        EMAIL = "email", "E-mail"
        WEBHOOK = "webhook", "Webhook"

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DONE = "done", "Delivered"
        FAILED = "failed", "Given up"

    project = models.ForeignKey(Project, models.CASCADE, related_name="alert_deliveries", db_index=False)
    alert = models.ForeignKey(Alert, models.CASCADE, null=True, related_name="deliveries")
    channel = models.CharField(max_length=10, choices=Channel)
    membership = models.ForeignKey(Membership, models.CASCADE, null=True, related_name="+", help_text="Of an e-mail.")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True, help_text="What the webhook's server last answered.")
    error = models.TextField(blank=True, help_text="Why the last attempt failed.")
    created = models.DateTimeField(auto_now_add=True)
    ended = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "alert deliveries"
        indexes = [
            models.Index(fields=["not_before"], name="alert_delivery_due", condition=Q(state="waiting")),
            models.Index(fields=["project", "-id"], name="alert_delivery_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()} {self.pk}"
