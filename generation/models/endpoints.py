"""Model servers, their keys and their prices."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.utils import timezone

from datasets import addresses
from datasets.models import Corpus, Project
from generation import secrets
from generation.engine.providers.presets import Preset
from generation.kinds import kind_of

OFFLINE = "offline"
KEPT = timedelta(days=30)
"""For so long a vector is kept that nobody asks for."""
AT_ONCE = 1_000
"""Vectors that are deleted together."""


def check_web_address(url: str) -> None:
    addresses.check_web_address(url, "https://api.example.org/v1 or http://localhost:8000/v1")


class Endpoint(models.Model):
    """A server that speaks the OpenAI API, or the offline model (preset `offline`, no address, no key)."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="endpoints")
    name = models.CharField(max_length=100)
    preset = models.CharField(max_length=120, help_text="Key of generation.kinds.kinds().")
    base_url = models.CharField("address", max_length=300, blank=True, validators=[check_web_address])
    chat_model = models.CharField(max_length=150, blank=True, help_text="The model used unless a recipe names another.")
    embedding_model = models.CharField(max_length=150, blank=True)
    timeout = models.PositiveIntegerField(
        default=120,
        validators=[MinValueValidator(1), MaxValueValidator(3600)],
        help_text="Seconds to wait for a reply.",
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_endpoint_a_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def kind(self) -> Preset:
        return kind_of(self.preset)

    @property
    def is_offline(self) -> bool:
        return self.preset == OFFLINE

    def price_of(self, model: str) -> tuple[Decimal, Decimal]:
        """Price of a million prompt and completion tokens of `model`; zeros when none is set."""
        price = self.prices.filter(model__in=[model, ""]).order_by("-model").first()
        return (price.prompt, price.completion) if price else (Decimal(0), Decimal(0))


class EndpointKey(models.Model):
    """One API key of an endpoint, encrypted; only its last characters are ever shown."""

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="keys")
    name = models.CharField(max_length=100, blank=True, help_text="Whose it is, or what it is for.")
    ciphertext = models.BinaryField(editable=False)
    hint = models.CharField(max_length=8, editable=False)
    hourly_limit = models.PositiveIntegerField(
        "calls an hour", null=True, blank=True, validators=[MinValueValidator(1)], help_text="Empty: no limit."
    )
    daily_limit = models.PositiveIntegerField(
        "calls a day", null=True, blank=True, validators=[MinValueValidator(1)], help_text="Empty: no limit."
    )
    active = models.BooleanField(default=True)
    refused = models.DateTimeField(null=True, editable=False)
    refusal = models.TextField(blank=True, editable=False, help_text="The server's words when it refused the key.")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.name} …{self.hint}".strip()

    @classmethod
    def seal(cls, endpoint: Endpoint, secret: str) -> EndpointKey:
        """An unsaved row that holds `secret`, encrypted."""
        hint = secret[-4:] if len(secret) >= 12 else ""
        return cls(endpoint=endpoint, ciphertext=secrets.encrypt(secret), hint=hint)

    def reveal(self) -> str:
        return secrets.decrypt(bytes(self.ciphertext))


class Price(models.Model):
    """What a million tokens of a model cost. An empty model name stands for every other model of the endpoint."""

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="prices")
    model = models.CharField(max_length=150, blank=True)
    prompt = models.DecimalField(max_digits=12, decimal_places=6, validators=[MinValueValidator(0)])
    completion = models.DecimalField(max_digits=12, decimal_places=6, validators=[MinValueValidator(0)])

    class Meta:
        ordering = ["model"]
        constraints = [models.UniqueConstraint(fields=["endpoint", "model"], name="one_price_a_model")]

    def __str__(self) -> str:
        return self.model or "any model"


class CorpusEmbedding(models.Model):
    """Which endpoint turns a corpus's passages into dense vectors. A corpus without one is searched by words alone."""

    corpus = models.OneToOneField(Corpus, models.CASCADE, related_name="embedding")
    endpoint = models.ForeignKey(Endpoint, models.PROTECT, related_name="embeddings")
    model = models.CharField(max_length=150)

    def __str__(self) -> str:
        return f"{self.corpus}: {self.model}"


class PassageVectorQuerySet(models.QuerySet["PassageVector"]):
    def use(self, pks: Iterable[int], today: date) -> None:
        """Those that somebody else has in hand are left to them."""
        with transaction.atomic():
            free = self.filter(pk__in=list(pks)).select_for_update(skip_locked=True)
            self.filter(pk__in=free.values("pk")).update(used=today)

    def forget_unused(self) -> None:
        """Delete what nobody has asked for in the time that they are kept."""
        unused = self.filter(used__lt=timezone.localdate() - KEPT).values("pk")
        while self.filter(pk__in=list(unused.values_list("pk", flat=True)[:AT_ONCE])).delete()[0]:
            pass


class PassageVector(models.Model):
    """What a model made of a text, so that nobody pays for it again when a file is read anew or a search repeated.

    `digest` is the SHA-256 of where the model is and of the text, `vector` little-endian float32. All of one model are
    equally long.
    """

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="vectors", db_index=False)
    model = models.CharField(max_length=150)
    digest = models.BinaryField(max_length=32)
    vector = models.BinaryField()
    used = models.DateField(help_text="The last day on which it was asked for.")

    objects = PassageVectorQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["endpoint", "model", "digest"], name="one_vector_a_text")]
        indexes = [models.Index(fields=["used"], name="vector_unused")]

    def __str__(self) -> str:
        return f"{self.model}: {bytes(self.digest).hex()[:12]}"
