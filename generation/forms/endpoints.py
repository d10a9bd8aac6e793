"""The endpoint form. The key goes in and never comes out: an empty field keeps the one that is stored."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from datasets.addresses import check_not_link_local
from generation.kinds import kind_of
from generation.models import Endpoint, EndpointKey

PRICE_ROWS = 3


def check_key(key: str) -> None:
    if not (key.isascii() and key.isprintable()):
        raise ValidationError("A key has plain letters, digits and signs only: copy it again.")


def secret_field(*, required: bool) -> forms.CharField:
    """A key on its way in: what is typed is never sent back."""
    return forms.CharField(
        label="API key",
        required=required,
        max_length=500,
        validators=[check_key],
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
    )


class EndpointForm(forms.ModelForm):
    """The settings of an endpoint of the kind `preset`, a key of `kinds()`."""

    key = secret_field(required=False)

    class Meta:
        model = Endpoint
        fields = ["name", "base_url", "chat_model", "embedding_model", "timeout"]
        help_texts = {
            "base_url": "Up to and including /v1.",
            "embedding_model": "Empty: corpora are searched by words alone.",
        }

    def __init__(self, data: Any = None, *, preset: str, instance: Endpoint | None = None) -> None:
        kind = kind_of(preset)
        suggested = {"name": kind.label, "base_url": kind.base_url, "chat_model": next(iter(kind.chat_models), "")}
        super().__init__(data, instance=instance, initial=None if instance else suggested)
        self.preset, self.kind = preset, kind
        self.stored = list(self.instance.keys.all()) if self.instance.pk else []
        for name in ("chat_model", "embedding_model"):
            self.fields[name].widget.attrs["list"] = f"{name}s"
        self.fields["base_url"].required = kind.needs_address
        self.fields["key"].required = kind.needs_key and not self.stored
        self.fields["key"].help_text = self._about_the_key()

    def _about_the_key(self) -> str:
        match self.stored:
            case []:
                return "It is encrypted before it is stored, and never shown again."
            case [key]:
                ends = f" that ends in …{key.hint}" if key.hint else ""
                return f"A key{ends} is stored: leave empty to keep it, or add another below."
        return f"Only for another address: it takes the place of all {len(self.stored)} keys below."

    def clean_base_url(self) -> str:
        """Model servers on this machine or network are fine; the test button says in the network's own words when there is
        no such server."""
        url = self.cleaned_data["base_url"].rstrip("/")
        if url:
            check_not_link_local(url, 443)
        return url

    def clean(self) -> dict[str, Any]:
        super().clean()
        if not self.errors and not (self.cleaned_data["chat_model"] or self.cleaned_data["embedding_model"]):
            self.add_error("chat_model", "Name a chat model, an embedding model, or both.")
        return self.cleaned_data

    def values(self) -> dict[str, Any]:
        return {"preset": self.preset, **{name: self.cleaned_data[name] for name in self.Meta.fields}}


class KeyLimitsForm(forms.ModelForm):
    """What can be changed of a stored key."""

    class Meta:
        model = EndpointKey
        fields = ["name", "hourly_limit", "daily_limit"]

    def __init__(self, data: Any = None, *, instance: EndpointKey) -> None:
        super().__init__(data, instance=instance, auto_id=f"key_{instance.pk}_%s")
        for field in self.fields.values():
            field.widget.attrs |= {"form": self.form_id, "aria-label": f"{field.label} of the key {instance}"}
        for name, hint in (("name", "Name"), ("hourly_limit", "any"), ("daily_limit", "any")):
            self.fields[name].widget.attrs["placeholder"] = hint

    @property
    def form_id(self) -> str:
        return f"key_{self.instance.pk}"


class KeyForm(forms.ModelForm):
    """Another key for an endpoint."""

    key = secret_field(required=True)

    class Meta:
        model = EndpointKey
        fields = ["name", "hourly_limit", "daily_limit"]

    field_order = ["key", "name", "hourly_limit", "daily_limit"]

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="new_key_%s")

    def values(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.Meta.fields}


class PriceForm(forms.Form):
    """One line of the price list. An empty model stands for every other one."""

    model = forms.CharField(max_length=150, required=False, widget=forms.TextInput(attrs={"list": "chat_models"}))
    prompt = forms.DecimalField(min_value=0, max_digits=12, decimal_places=6, required=False, label="Prompt")
    completion = forms.DecimalField(min_value=0, max_digits=12, decimal_places=6, required=False, label="Reply")

    def clean(self) -> dict[str, Any]:
        super().clean()
        if not self.errors and self.cleaned_data.get("model") and not self.is_set:
            self.add_error("prompt", "Enter a price for this model, or empty the line.")
        return self.cleaned_data

    @property
    def is_set(self) -> bool:
        return self.cleaned_data.get("prompt") is not None or self.cleaned_data.get("completion") is not None


class PriceList(forms.BaseFormSet):
    def clean(self) -> None:
        seen: set[str] = set()
        for form in self.forms:
            if not (form.is_valid() and form.is_set):
                continue
            model = form.cleaned_data["model"]
            if model in seen:
                form.add_error("model", "This model has a price already: keep one of the lines.")
            seen.add(model)


PriceFormSet = forms.formset_factory(PriceForm, formset=PriceList, extra=PRICE_ROWS, max_num=50)


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
    prices = endpoint.prices.all() if endpoint else []
    rows = [
        {"model": price.model, "prompt": _short(price.prompt), "completion": _short(price.completion)}
        for price in prices
    ]
    return PriceFormSet(data, initial=rows, prefix="price")


def _short(price: Decimal) -> str:
    """Without the zeros that the column's scale puts behind it."""
    return f"{price:f}".rstrip("0").rstrip(".")
