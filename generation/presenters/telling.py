"""A recipe in words: what a run's page tells of the parts that have no page of their own."""

from __future__ import annotations

from collections.abc import Iterator

from generation.engine import rules
from generation.engine.recipe import AnyRetriever, Ensemble, FixedText, FromCorpus, InTurn, Recipe
from generation.frozen import NAMED, Frozen

WHEN = {
    "answer": "before every answer, {} passages",
    "dialog": "once a conversation, {} passages",
    "never": "never",
}
OVERALL = {"mean": "their mean", "weighted": "their mean by weight", "min": "the lowest"}
STRATEGIES = {
    "temperature": "temperature",
    "prompt": "prompt",
    "model": "model",
    "combined": "temperature, prompt and model",
}


def told(spec: Recipe, frozen: Frozen) -> list[tuple[str, str]]:
    """Headings with what there is to say below each; nothing is said of what the recipe leaves out."""
    parts = [
        ("Personas", _personas(frozen)),
        ("Questions", "; ".join(_questions(spec))),
        ("Personas of documents", "ask about their own" if spec.grown_personas else ""),
        ("Retrieval", _retrieval(spec)),
        ("Judged by", _judging(spec, frozen)),
        ("Improved", _improving(spec)),
        ("Pairs", _pairs(spec)),
        ("Stops when", _stopping(spec)),
        ("Sent to", ", ".join(sink.name for sink in spec.sinks)),
        ("Turn hooks", ", ".join(hook.name for hook in spec.hooks)),
    ]
    return [(heading, text) for heading, text in parts if text]


def _personas(frozen: Frozen) -> str:
    """The first of them by name, and how many more there are."""
    names = frozen.cast.names or tuple(persona.name for persona in frozen.personas.values())[:NAMED]
    more = (frozen.cast.total or len(frozen.personas)) - len(names)
    return ", ".join(names) + (f", and {more:,} more" if more > 0 else "")


def _questions(spec: Recipe) -> Iterator[str]:
    questions = spec.questions
    if spec.corpus is not None:
        yield f"from {spec.contexts} passage{'s' if spec.contexts > 1 else ''} each"
    if questions.batch > 1:
        yield f"{questions.batch} a call"
    if spec.visits:
        yield f"each passage {spec.visits} time{'s' if spec.visits > 1 else ''}"
    if questions.fresh:
        yield "about what earlier runs asked least"
    if questions.scenarios:
        yield f"in {len(questions.scenarios):,} situation{'s' if len(questions.scenarios) > 1 else ''}"
    if questions.writer:
        yield f"by “{questions.writer.name}”"
    if not questions.distinct:
        yield "near-duplicates are welcome"


def _retrieval(spec: Recipe) -> str:
    said = WHEN[spec.retrieval.when].format(spec.retrieval.depth)
    if spec.retrieval.when == "never" or spec.retrieval.retriever == FromCorpus():
        return said
    return f"{said}, from {_retriever(spec.retrieval.retriever)}"


def _retriever(one: AnyRetriever) -> str:
    match one:
        case FromCorpus(corpus=None):
            return "the corpus"
        case FromCorpus():
            return "another corpus"
        case FixedText(title=title):
            return f"“{title}”"
        case InTurn():
            return ", then ".join(map(_inner, one.retrievers))
        case Ensemble():
            return " and ".join(_inner(member.retriever) for member in one.members) + " at once"
    return f"“{one.name}”"


def _inner(one: AnyRetriever) -> str:
    """What stands inside another is told apart from what stands beside it."""
    return f"({_retriever(one)})" if isinstance(one, InTurn | Ensemble) else _retriever(one)


def _judging(spec: Recipe, frozen: Frozen) -> str:
    if spec.judge is None:
        return ""
    names = [name.replace("_", " ") for name in spec.judge.weights]
    names += [criterion.name for criterion in frozen.criteria]
    names += [other.name for other in spec.judge.others]
    return f"{', '.join(names)}; overall: {OVERALL[spec.judge.aggregation]}"


def _improving(spec: Recipe) -> str:
    if spec.improve is None or spec.product.kind == "pairs":  # whose runs of old may say so, and did not improve
        return ""
    times = "once" if spec.improve.attempts == 1 else f"up to {spec.improve.attempts} times"
    return f"{times}, below a score of {spec.improve.below:g}"


def _pairs(spec: Recipe) -> str:
    product = spec.product
    if product.kind != "pairs":
        return ""
    return f"{product.answers} answers, by {STRATEGIES[product.strategy]}, at least {product.gap:g} apart"


def _stopping(spec: Recipe) -> str:
    said = "; or ".join(_rule(rule) for rule in spec.stopping)
    return f"{said}." if said else ""


def _rule(rule: rules.Rule) -> str:
    match rule:
        case rules.Conversations():
            return f"{rule.number:,} conversations were made"
        case rules.Coverage():
            times = "once" if rule.visits == 1 else f"{rule.visits} times"
            return f"{rule.share:.0%} of the passages were asked about, {times} each"
        case rules.Personas():
            return f"{rule.number:,} different personas have spoken"
        case rules.ErrorRate():
            return f"{rule.rate:.0%} of the last {rule.window} conversations failed"
        case rules.Spending():
            return " or ".join(_limits(rule))
        case rules.AllOf():
            return f"all of ({'; '.join(_rule(inner) for inner in rule.rules)})"
        case rules.AnyOf():
            return f"one of ({'; '.join(_rule(inner) for inner in rule.rules)})"
    return f"“{rule.name}” says so"


def _limits(rule: rules.Spending) -> Iterator[str]:
    for said, limit in (
        ("{:,} prompt tokens are spent", rule.prompt_tokens),
        ("{:,} reply tokens are spent", rule.completion_tokens),
        ("{:,} tokens are spent", rule.tokens),
        ("the money limit of {:,f} is reached", rule.money),
    ):
        if limit is not None:
            yield said.format(limit)
