"""The endpoint form. The key goes in and never comes out: an empty field keeps the one that is stored."""

from __future__ import annotations

import ipaddress
import socket
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django import forms

from generation.engine.providers.presets import PRESETS
from generation.models import Endpoint
from generation.models.endpoints import OFFLINE

PRICE_ROWS = 3


class EndpointForm(forms.ModelForm):
    preset = forms.ChoiceField(label="Kind of server")
    key = forms.CharField(
        label="API key",
        required=False,
        max_length=500,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
    )

    class Meta:
        model = Endpoint
        fields = ["preset", "name", "base_url", "chat_model", "embedding_model", "timeout"]
        labels = {"base_url": "Address", "timeout": "Patience"}
        help_texts = {
            "base_url": "Up to and including /v1. Empty: the kind's own address.",
            "embedding_model": "Empty: corpora are searched by words alone.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["preset"].choices = [(key, preset.label) for key, preset in PRESETS.items() if key != OFFLINE]
        self.fields["base_url"].required = False
        stored = self.instance.pk and self.instance.keys.first()
        hint = f"A key that ends in …{stored.hint} is stored; leave empty to keep it." if stored else ""
        self.fields["key"].help_text = hint or "Encrypted before it is stored, and never shown again."

    def clean(self) -> dict[str, Any]:
        super().clean()
        cleaned = self.cleaned_data
        preset = PRESETS.get(cleaned.get("preset", ""))
        if preset and not cleaned.get("base_url") and "base_url" not in self.errors:
            cleaned["base_url"] = preset.base_url
            if not preset.base_url:
                self.add_error("base_url", "Enter the server's address, for example http://localhost:8000/v1.")
        if cleaned.get("base_url"):
            self._check_address(cleaned["base_url"])
        return cleaned

    def _check_address(self, url: str) -> None:
        """Model servers on this machine or network are fine; the link-local range, where clouds keep secrets, is not."""
        try:
            host, port = urlsplit(url).hostname or "", urlsplit(url).port
            found = socket.getaddrinfo(host, port or 443, proto=socket.IPPROTO_TCP)
        except (OSError, ValueError):
            return  # the test button says in the network's own words that there is no such server
        if any(ipaddress.ip_address(str(address[4][0]).split("%")[0]).is_link_local for address in found):
            self.add_error("base_url", "That address is reserved for this machine's own network: enter another.")

    def values(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.Meta.fields}


class PriceForm(forms.Form):
    """One line of the price list. An empty model stands for every other one."""

    model = forms.CharField(max_length=150, required=False)
    prompt = forms.DecimalField(min_value=0, max_digits=12, decimal_places=6, required=False, label="Prompt")
    completion = forms.DecimalField(min_value=0, max_digits=12, decimal_places=6, required=False, label="Reply")

    @property
    def is_set(self) -> bool:
        return self.cleaned_data.get("prompt") is not None or self.cleaned_data.get("completion") is not None


PriceFormSet = forms.formset_factory(PriceForm, extra=PRICE_ROWS, max_num=50)


def prices_of(formset: forms.BaseFormSet) -> dict[str, tuple[Decimal, Decimal]]:
    """The filled lines of a valid formset: model → (prompt, completion), a missing price being zero."""
    return {
        form.cleaned_data["model"]: (
            form.cleaned_data["prompt"] or Decimal(0),
            form.cleaned_data["completion"] or Decimal(0),
        )
        for form in formset
        if form.cleaned_data and form.is_set
    }


def price_formset(endpoint: Endpoint | None, data: Any = None) -> forms.BaseFormSet:
    rows = endpoint.prices.values("model", "prompt", "completion") if endpoint else []
    return PriceFormSet(data, initial=list(rows), prefix="price")
