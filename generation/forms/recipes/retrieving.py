"""What is retrieved from: a corpus, a text, what an installation adds, or a few of them in turn or at once.

Deeper trees, and parts with options, are written as YAML.
"""

from __future__ import annotations

from typing import Any

from django import forms

from datasets.models import Project
from generation import extensions
from generation.engine.recipe import AnyRetriever, CustomRetriever, Ensemble, FixedText, FromCorpus, InTurn

MEMBERS = 4
"""So many can be chosen by fields."""
LEAST_WEIGHT = 0.001
LONGEST_TITLE = 200
ENOUGH: int = InTurn.model_fields["enough"].default
TITLE: str = FixedText.model_fields["title"].default
SEVERAL = [
    ("chain", "Several, one after the other until there is enough"),
    ("ensemble", "Several at once, their findings merged"),
]


class RetrieverFields(forms.Form):
    retriever = forms.ChoiceField(required=False, label="Retrieve from")
    chain_enough = forms.IntegerField(
        min_value=1,
        initial=ENOUGH,
        required=False,
        label="Enough is",
        help_text="The next one is asked where those before it brought up less.",
    )
    retriever_text = forms.CharField(
        max_length=200_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        label="The text",
        help_text="Given whatever is asked.",
    )
    retriever_title = forms.CharField(max_length=LONGEST_TITLE, required=False, initial=TITLE, label="Its title")

    def set_up_retrievers(self, project: Project) -> None:
        corpora = [(f"corpus:{pk}", name) for pk, name in project.corpora.order_by("name").values_list("pk", "name")]
        added = [(f"custom:{name}", name) for name in extensions.names("retrievers")]
        others = [*corpora, *added, ("text", "A text of your own")]
        self.fields["retriever"].choices = [("", "The corpus of the run"), *others, *SEVERAL]
        for number in range(MEMBERS):
            self.fields[f"member_{number}"] = forms.ChoiceField(
                choices=[("", "–"), ("corpus", "The corpus of the run"), *others],
                required=False,
                label=f"No. {number + 1}",
            )
            self.fields[f"member_weight_{number}"] = forms.FloatField(
                min_value=LEAST_WEIGHT, max_value=1000, initial=1, required=False, label="Counts"
            )

    @property
    def member_fields(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        """What each member retrieves from, and its weight."""
        return [(self[f"member_{number}"], self[f"member_weight_{number}"]) for number in range(MEMBERS)]

    @property
    def has_retriever_choices(self) -> bool:
        """Whether the fold of what is retrieved from has anything that must be seen."""
        shown = [self["retriever"], self["chain_enough"], self["retriever_text"], self["retriever_title"]]
        return bool(self["retriever"].value() or any(field.errors for field in shown))

    def clean_retriever_text(self) -> str:
        return _typed(self.cleaned_data["retriever_text"])

    def clean(self) -> dict[str, Any]:
        super().clean()
        said = self.cleaned_data
        kind = said.get("retriever", "")
        members = _members(said) if kind in dict(SEVERAL) else []
        if kind in dict(SEVERAL) and not members:
            self.add_error("member_0", "Choose what to retrieve from.")
        for number, choice in members:
            if choice == "corpus" and not said.get("corpus"):
                self.add_error(f"member_{number}", "The run has no corpus: choose one above, or another one here.")
        if "text" in (kind, *(choice for _, choice in members)) and not said.get("retriever_text"):
            self.add_error("retriever_text", "Write the text, or retrieve from something else.")
        return said

    def retriever_said(self, said: dict[str, Any]) -> dict[str, Any] | None:
        """The part of the recipe that these fields say; None where it is the usual one."""
        kind = said["retriever"]
        if kind == "chain":
            parts = [_part(choice, said) for _, choice in _members(said)]
            return {"kind": kind, "retrievers": parts, "enough": said["chain_enough"] or ENOUGH}
        if kind == "ensemble":
            weighed = [(_part(choice, said), said[f"member_weight_{number}"]) for number, choice in _members(said)]
            return {"kind": kind, "members": [{"retriever": part, "weight": weight or 1} for part, weight in weighed]}
        return _part(kind, said) if kind else None


def initial_retriever(retriever: AnyRetriever) -> dict[str, Any] | None:
    """The fields that say the retriever; None where they cannot."""
    parts: tuple[AnyRetriever, ...] = (retriever,)
    weights: tuple[float, ...] = ()
    initial: dict[str, Any] = {}
    match retriever:
        case InTurn(retrievers=parts, enough=enough):
            initial = {"retriever": "chain", "chain_enough": enough}
        case Ensemble(members=members):
            parts, weights = tuple(one.retriever for one in members), tuple(one.weight for one in members)
            initial = {"retriever": "ensemble"} | {f"member_weight_{n}": weight for n, weight in enumerate(weights)}
    choices = [_choice(part) for part in parts]
    texts = {(part.text, part.title) for part in parts if isinstance(part, FixedText)}
    if None in choices or len(choices) > MEMBERS or len(texts) > 1 or min(weights, default=1) < LEAST_WEIGHT:
        return None
    for text, title in texts:
        initial |= {"retriever_text": text, "retriever_title": title}
    if "retriever" in initial:
        return initial | {f"member_{number}": choice for number, choice in enumerate(choices)}
    return initial | {"retriever": "" if choices == ["corpus"] else choices[0]}


def _members(said: dict[str, Any]) -> list[tuple[int, str]]:
    """Those that are chosen, with their places."""
    return [(number, choice) for number in range(MEMBERS) if (choice := said.get(f"member_{number}"))]


def _part(choice: str, said: dict[str, Any]) -> dict[str, Any]:
    kind, _, name = choice.partition(":")
    match kind:
        case "text":
            return {"kind": kind, "text": said["retriever_text"], "title": said["retriever_title"] or TITLE}
        case "custom":
            return {"kind": kind, "name": name}
    return {"kind": "corpus", "corpus": int(name) if name else None}


def _choice(part: AnyRetriever) -> str | None:
    """The choice that says this part; None where none does."""
    match part:
        case FromCorpus(corpus=None):
            return "corpus"
        case FromCorpus(corpus=corpus):
            return f"corpus:{corpus}"
        case FixedText(text=text, title=title) if text == _typed(text) and _is_a_line(title):
            return "text"
        case CustomRetriever(name=name, options=options) if not options:
            return f"custom:{name}"
    return None


def _is_a_line(title: str) -> bool:
    return 0 < len(title) <= LONGEST_TITLE and title == _typed(title) and "\n" not in title


def _typed(text: str) -> str:
    """A text as a browser would post it."""
    return "\n".join(text.splitlines()).strip()
