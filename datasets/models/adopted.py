"""Collections of other people's Qdrant servers that corpora are read from."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from datasets import secrets
from datasets.addresses import check_web_address

MOST_POINTS = 1_000_000


class AdoptedCollection(models.Model):
    """A Qdrant collection that somebody else filled: where it is and what is read of its points. It is never written to."""

    url = models.CharField("address", max_length=300, validators=[check_web_address])
    ciphertext = models.BinaryField(default=b"", editable=False, help_text="The API key, encrypted; empty for none.")
    hint = models.CharField(max_length=8, blank=True, editable=False)
    collection = models.CharField(max_length=255)
    content_key = models.CharField(max_length=200, help_text="Where a point's payload holds the text: key or a.b.c.")
    title_key = models.CharField(max_length=200, blank=True)
    id_key = models.CharField(
        max_length=200, blank=True, help_text="Where its payload says what it is called; or none."
    )
    max_docs = models.PositiveIntegerField(
        default=10_000, validators=[MinValueValidator(1), MaxValueValidator(MOST_POINTS)]
    )
    vector = models.CharField(max_length=255, blank=True, help_text="Name of the vector that is searched; often none.")
    size = models.PositiveIntegerField(null=True, help_text="Its dimensions; null where the collection has no vectors.")
    distance = models.CharField(max_length=20, blank=True)
    score_threshold = models.FloatField(null=True, blank=True, help_text="Hits that score worse are left out.")
    points = models.PositiveBigIntegerField(default=0, help_text="How many the collection had when it was last read.")

    def __str__(self) -> str:
        return f"{self.collection} at {self.url}"

    def seal(self, key: str) -> None:
        """Keep this API key, encrypted; "" forgets the one that was kept."""
        self.ciphertext, self.hint = (secrets.encrypt(key), secrets.hint_of(key)) if key else (b"", "")

    def reveal(self) -> str | None:
        """Raises secrets.Undecryptable."""
        return secrets.decrypt(bytes(self.ciphertext)) if self.ciphertext else None
