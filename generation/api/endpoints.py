"""Endpoints: the model servers that a project's recipes can name, set up by owners. Keys come in and never go out."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from django.db import transaction
from django.db.models import Count
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.api.shapes import PROJECT, ApiRequest, Body, Line, Page, Place, Storable, one_of, page_of
from datasets.models import Project, Role, User
from datasets.services.errors import Refused
from generation.forms.endpoints import EndpointForm
from generation.kinds import kinds
from generation.models import Endpoint
from generation.models.endpoints import OFFLINE, EndpointKey
from generation.services.servers import endpoints
from generation.services.servers import keys as endpoint_keys
from generation.services.servers.keys import KeyStanding, standings

router = Router(tags=["Endpoints"])

ENDPOINTS = PROJECT + "/endpoints"
ENDPOINT = ENDPOINTS + "/{int:endpoint}"
KEYS = ENDPOINT + "/keys"
KEY = KEYS + "/{int:key}"

Limit = Annotated[int, Field(ge=1, lt=2**31)]
Price = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]


class KeyUseOut(Schema):
    calls_hour: int = Field(description="Calls in this hour of UTC, of all workers.")
    calls_day: int
    rests_until: datetime | None


class KeyOut(Schema):
    id: int = Field(alias="key.pk")
    name: str = Field(alias="key.name")
    hint: str = Field(alias="key.hint", description="The last characters of the key; empty for a short one.")
    active: bool = Field(alias="key.active")
    hourly_limit: int | None = Field(alias="key.hourly_limit")
    daily_limit: int | None = Field(alias="key.daily_limit")
    state: str = Field(json_schema_extra=one_of(["off", "refused", "resting", "spent", "ready"]))
    refused: datetime | None = Field(alias="key.refused", description="When the server refused the key, if it did.")
    refusal: str = Field(alias="key.refusal", description="What the server said then.")
    use: KeyUseOut | None = Field(description="null when it cannot be read just now.")


class PriceIn(Body):
    """What a million tokens cost."""

    model: Annotated[str, Storable] = Field("", max_length=150, description="Empty: every other model.")
    prompt: Price
    completion: Price


class PriceOut(Schema):
    model: str
    prompt: Decimal
    completion: Decimal


class EndpointIn(Body):
    preset: str = Field(description="Its kind, which says what is needed.", examples=["openai", "ollama", "custom"])
    name: Annotated[str, Storable] = Field("", max_length=100, description="Left out: that of the preset.")
    base_url: Annotated[str, Storable] | None = Field(
        None, max_length=300, description="Up to and including `/v1`. Left out: that of the preset."
    )
    chat_model: Annotated[str, Storable] = Field("", max_length=150, description="Used unless a recipe names another.")
    embedding_model: Annotated[str, Storable] = Field("", max_length=150)
    timeout: int = Field(120, ge=1, le=3600, description="Seconds to wait for a reply.")
    key: str = Field("", max_length=500, description="An API key: encrypted, and never shown again.")
    prices: list[PriceIn] = Field([], max_length=50)


class EndpointChange(Body):
    """What is left out stays as it is. With a new `base_url` the `key` has to be sent again."""

    name: Line | None = None
    base_url: Annotated[str, Storable] | None = Field(None, max_length=300)
    chat_model: Annotated[str, Storable] | None = Field(None, max_length=150)
    embedding_model: Annotated[str, Storable] | None = Field(None, max_length=150)
    timeout: int | None = Field(None, ge=1, le=3600)
    key: str = Field("", max_length=500, description="Takes the place of the only one that is stored.")
    prices: list[PriceIn] | None = Field(None, max_length=50, description="The whole list.")


class EndpointOut(Schema):
    id: int
    name: str
    preset: str
    base_url: str
    chat_model: str = Field(description="The model used unless a recipe names another.")
    embedding_model: str
    offline: bool = Field(alias="is_offline", description="Whether it is the offline model, which calls no server.")
    keys: int = Field(alias="key_total", description="How many API keys are stored for it.")


class EndpointDetail(EndpointOut):
    timeout: int
    prices: list[PriceOut]

    @staticmethod
    def resolve_prices(row: Endpoint) -> list[Any]:
        return list(row.prices.all())


class KeyLimits(Body):
    name: Annotated[str, Storable] = Field("", max_length=100, description="Whose it is, or what it is for.")
    hourly_limit: Limit | None = Field(None, description="Calls an hour; null: no limit.")
    daily_limit: Limit | None = None


class KeyIn(KeyLimits):
    key: str = Field(min_length=1, max_length=500, description="Encrypted, and never shown again.")


class KeyChange(Body):
    """What is left out stays as it is."""

    name: Annotated[str, Storable] | None = Field(None, max_length=100)
    hourly_limit: Limit | None = None
    daily_limit: Limit | None = None
    active: bool | None = Field(None, description="True: it is tried at once, whatever was held against it.")


def _endpoints(project: Project) -> Any:
    return project.endpoints.annotate(key_total=Count("keys"))


@router.get(ENDPOINTS, response=Page[EndpointOut])
def list_endpoints(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """The endpoints of a project, oldest first."""
    return page_of(_endpoints(project_for(request.auth, project)), place)


@router.post(ENDPOINTS, response={201: EndpointDetail})
def create_endpoint(request: ApiRequest, project: str, body: EndpointIn) -> Endpoint:
    """Set up a model server; test it next. Needs the role of owner."""
    row = project_for(request.auth, project, Role.OWNER)
    known = kinds()
    if body.preset == OFFLINE or body.preset not in known:
        names = ", ".join(name for name in known if name != OFFLINE)
        raise Refused(f"“preset” should be one of these: {names}.", field="preset")
    kind = known[body.preset]
    said = {
        "name": body.name or kind.label,
        "base_url": kind.base_url if body.base_url is None else body.base_url,
        "chat_model": body.chat_model,
        "embedding_model": body.embedding_model,
        "timeout": body.timeout,
        "key": body.key,
    }
    made = _save(row, request.auth, EndpointForm(said, preset=body.preset), None, body.prices)
    return _endpoints(row).get(pk=made.pk)


@router.get(ENDPOINT, response=EndpointDetail)
def get_endpoint(request: ApiRequest, project: str, endpoint: int) -> Endpoint:
    """One endpoint, with its prices."""
    return get_object_or_404(_endpoints(project_for(request.auth, project)), pk=endpoint)


@router.patch(ENDPOINT, response=EndpointDetail)
def change_endpoint(request: ApiRequest, project: str, endpoint: int, body: EndpointChange) -> Endpoint:
    """Runs that are under way take the change up at once. Needs the role of owner."""
    row = project_for(request.auth, project, Role.OWNER)
    stored = _own(row, endpoint)
    # The form writes into the row that it is given: the service compares with one as it is stored.
    copy = _own(row, endpoint)
    kept = {name: getattr(stored, name) for name in EndpointForm.Meta.fields}
    said = kept | body.dict(exclude_none=True, exclude={"prices"})
    _save(row, request.auth, EndpointForm(said, instance=copy, preset=stored.preset), stored, body.prices)
    return _endpoints(row).get(pk=endpoint)


@transaction.atomic
def _save(
    project: Project, user: User, form: EndpointForm, endpoint: Endpoint | None, prices: list[PriceIn] | None
) -> Endpoint:
    for field, complaints in form.errors.items():
        raise Refused(str(complaints[0]), field="" if field == "__all__" else field)
    key = form.cleaned_data["key"]
    row = endpoints.save_endpoint(project=project, user=user, values=form.values(), key=key, endpoint=endpoint)
    if prices is not None:
        if len({price.model for price in prices}) < len(prices):
            raise Refused("A model has two prices: keep one of them.", field="prices")
        endpoints.save_prices(endpoint=row, prices={price.model: (price.prompt, price.completion) for price in prices})
    return row


def _own(project: Project, endpoint: int) -> Endpoint:
    row = get_object_or_404(project.endpoints, pk=endpoint)
    if row.is_offline:
        raise Refused("The offline model is as it is: it needs no address and no key.")
    return row


@router.delete(ENDPOINT, response={204: None})
def delete_endpoint(request: ApiRequest, project: str, endpoint: int) -> None:
    """Refused while a run or a corpus uses it. Needs the role of owner."""
    row = project_for(request.auth, project, Role.OWNER)
    endpoints.delete_endpoint(endpoint=get_object_or_404(row.endpoints, pk=endpoint), user=request.auth)


# -- keys ---------------------------------------------------------------------------------------------------------------


@router.get(KEYS, response=list[KeyOut])
def list_endpoint_keys(request: ApiRequest, project: str, endpoint: int) -> list[KeyStanding]:
    """The keys of an endpoint, by their last characters only, and what workers have made of them."""
    rows = project_for(request.auth, project).endpoints
    return standings(get_object_or_404(rows, pk=endpoint).keys.all())


@router.post(KEYS, response={201: KeyOut})
def add_endpoint_key(request: ApiRequest, project: str, endpoint: int, body: KeyIn) -> KeyStanding:
    """Another key: calls take turns among them. Needs the role of owner."""
    row = _own(project_for(request.auth, project, Role.OWNER), endpoint)
    if not (body.key.isascii() and body.key.isprintable()):
        raise Refused("A key has plain letters, digits and signs only: copy it again.", field="key")
    key = endpoint_keys.add_key(endpoint=row, secret=body.key, values=body.dict(exclude={"key"}), user=request.auth)
    return standings([key])[0]


@router.patch(KEY, response=KeyOut)
def change_endpoint_key(request: ApiRequest, project: str, endpoint: int, key: int, body: KeyChange) -> KeyStanding:
    """Its name and limits, or whether it is used; null takes a limit away. Needs the role of owner."""
    row = _key(project_for(request.auth, project, Role.OWNER), endpoint, key)
    said = body.dict(exclude_unset=True, exclude={"active"})
    if said:
        for name, value in said.items():
            setattr(row, name, value or "" if name == "name" else value)
        endpoint_keys.change_key(key=row, user=request.auth)
    if body.active is not None:
        endpoint_keys.switch_key(key=row, on=body.active, user=request.auth)
    return standings([row])[0]


@router.delete(KEY, response={204: None})
def delete_endpoint_key(request: ApiRequest, project: str, endpoint: int, key: int) -> None:
    """Needs the role of owner."""
    row = _key(project_for(request.auth, project, Role.OWNER), endpoint, key)
    endpoint_keys.remove_key(key=row, user=request.auth)


def _key(project: Project, endpoint: int, key: int) -> EndpointKey:
    keys = EndpointKey.objects.select_related("endpoint__project")
    return get_object_or_404(keys, pk=key, endpoint=endpoint, endpoint__project=project)
