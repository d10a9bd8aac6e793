"""Config files of the AfterImage library: read as they are, and turned into what a run is made from here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from datasets.formats import FORMATS
from datasets.services.errors import Refused
from generation.engine import recipe as recipes
from generation.engine import rules
from generation.engine.judging import Judging
from generation.engine.protocols import ModelRole
from generation.engine.providers.presets import PRESETS
from generation.services.afterimage import config as said
from generation.services.afterimage.config import Config
from generation.yamls import NotRead, parse

LONGEST_PROMPT = 50_000
MOST = 10_000
"""Conversations of a run that only rules end: each is planned before the first one is made."""
KEYS = {
    "gemini": "GEMINI_API_KEY",
    "openai": "OPENAI_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
}
"""The environment variable in which the library looks for each provider's key."""
CONCURRENCY = {"deepseek": 16, "local": 8}
USUAL_CONCURRENCY = 2
PAIRS_AT_ONCE = 4
SAME = {"oumi": "messages"}
"""Formats of the library whose rows are those of another one."""
EXPORTED_GAP = 0.2
"""Between the answers of a pair that the library's exporter writes."""
LOCAL = "http://localhost:8000/v1"
SKILLS = "Skills are not used here: the sections skills and skill are left aside."
QDRANT = "http://localhost:6333"


class Wrong(Refused):
    """A config that cannot be used; `sentences` says each thing that is wrong with it."""

    def __init__(self, *sentences: str) -> None:
        super().__init__(" ".join(sentences), field="text")
        self.sentences = sentences


# -- reading ------------------------------------------------------------------------------------------------------------


def read_config(text: str, base_dir: Path | None) -> Config:
    """The config that a text describes, with the assistant's prompt in it. Raises Wrong.

    Paths in it start from `base_dir`, the folder of the file; None where the user's disk cannot be reached.
    """
    try:
        config = Config.model_validate(_parsed(text))
    except ValidationError as error:
        raise Wrong(*dict.fromkeys(_sentence(problem) for problem in error.errors(include_url=False))) from error
    except RecursionError as error:
        raise Wrong("It is nested too deeply: flatten it.") from error
    prompt = _prompt(config.respondent, base_dir)
    update: dict[str, Any] = {"respondent": said.Respondent(system_prompt=prompt)}
    if config.documents and config.documents.path and base_dir:
        path = str(base_dir / Path(config.documents.path).expanduser())
        update["documents"] = config.documents.model_copy(update={"path": path})
    return config.model_copy(update=update)


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = parse(text)
    except NotRead as error:
        raise Wrong(str(error)) from error
    if not isinstance(value, dict):
        raise Wrong("A config has sections such as “respondent:” and “generation:”: this has none.")
    return {str(key): section for key, section in value.items()}


def _prompt(respondent: said.Respondent, base_dir: Path | None) -> str:
    text = respondent.system_prompt
    if respondent.system_prompt_file is not None:
        if base_dir is None:
            raise Wrong(
                "respondent.system_prompt_file is a file on your computer, which cannot be reached from here: "
                "put its text into respondent.system_prompt instead."
            )
        path = base_dir / Path(respondent.system_prompt_file).expanduser()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Wrong(f"respondent.system_prompt_file cannot be read: {path} ({_why(error)}).") from error
    if not (text or "").strip():
        raise Wrong("The assistant's prompt is empty: write one into respondent.system_prompt.")
    if len(text or "") > LONGEST_PROMPT:
        raise Wrong(f"The assistant's prompt has more than {LONGEST_PROMPT:,} characters: shorten it.")
    return (text or "").strip()


def _why(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or "unreadable" if isinstance(error, OSError) else "it is not UTF-8"


# -- what is wrong ------------------------------------------------------------------------------------------------------


def _sentence(problem: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"] if part not in _TYPES)
    if problem["type"] == "extra_forbidden":
        return _unknown(problem["loc"], where)
    if problem["type"] == "missing":
        return f"“{where}” is missing."
    if problem["type"] == "union_tag_invalid":
        return f"“{where}.type” is none of these: {', '.join(_TYPES)}."
    if problem["type"] == "union_tag_not_found":
        return f"“{where}” has no type: choose among {', '.join(_TYPES)}."
    words = problem["msg"].removeprefix("Value error, ").rstrip(".")
    return f"“{where}”: {words}." if where else f"{words}."


def _unknown(loc: Sequence[Any], where: str) -> str:
    *before, key = loc
    known = sorted(_fields_at(before))
    near = get_close_matches(str(key), known, n=1, cutoff=0.6)
    mend = f"did you mean “{near[0]}”?" if near else f"known are {', '.join(known)}."
    return f"“{where}” is no key of AfterImage: {mend}"


def _fields_at(loc: Sequence[Any]) -> set[str]:
    """The keys that may stand at a place of a config."""
    model: type[BaseModel] = Config
    for part in loc:
        inner = _TYPES.get(part) or _model_of(
            model.model_fields[part].annotation if part in model.model_fields else None
        )
        model = inner or model
    return set(model.model_fields)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_of(part))), None)


_TYPES: dict[Any, type[BaseModel]] = {
    kind.model_fields["type"].default: kind
    for kind in (said.Fixed, said.ContextCoverage, said.PersonaUsage, said.TokenBudget, said.RateLimit, said.All)
}


# -- what it means here -------------------------------------------------------------------------------------------------


def preset_of(config: Config) -> str:
    """The kind of endpoint that the provider is here."""
    return {"local": "vllm"}.get(config.model.provider, config.model.provider)


def base_url_of(config: Config) -> str:
    return (config.model.base_url or PRESETS[preset_of(config)].base_url or LOCAL).rstrip("/")


def key_of(config: Config, environment: Mapping[str, str]) -> str:
    """The API key, empty where none is needed. Raises Wrong with the line that sets it."""
    name = config.model.api_key_env or KEYS.get(config.model.provider)
    key = environment.get(name, "") if name else ""
    if not key and config.model.provider != "local":
        raise Wrong(f"There is no API key for {config.model.provider}: export {name}=your-key")
    return key


def concurrency_of(config: Config) -> int:
    return config.generation.max_concurrency or CONCURRENCY.get(config.model.provider, USUAL_CONCURRENCY)


def recipe_of(
    config: Config,
    *,
    corpus: int | None,
    prompt: int,
    choice: recipes.ModelChoice,
    personas: Sequence[int] = (),
    persona_groups: Sequence[recipes.PersonaGroup] = (),
) -> recipes.Recipe:
    """The recipe that does what the config says, in rows of a project. Raises Wrong.

    As the library does, the respondent sees the passages that the question was written from and nothing else.
    """
    grounded = config.documents is not None
    roles: list[ModelRole] = ["instruction", "correspondent", "respondent"]
    if config.quality.auto_improve:
        roles.append("judge")
    try:
        return recipes.Recipe(
            corpus=corpus if grounded else None,
            respondent_prompt=prompt,
            personas=tuple(personas) if config.personas.enabled else (),
            persona_groups=tuple(persona_groups) if config.personas.enabled else (),
            models=dict.fromkeys(roles, choice),
            conversations=config.generation.num_dialogs or config.num_requested or MOST,
            max_turns=config.generation.max_turns,
            contexts=config.context.num_random_contexts if grounded else 1,
            questions=recipes.Questions(batch=config.context.n_instructions),
            retrieval=recipes.Retrieval(when="never", with_context=True),
            judge=Judging() if config.quality.auto_improve else None,
            improve=recipes.Improving() if config.quality.auto_improve else None,
            stopping=tuple(_rule(rule) for rule in config.generation.stopping),
            concurrency=concurrency_of(config),
        )
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise Wrong(*dict.fromkeys(_sentence(problem) for problem in problems)) from error


def preference_of(config: Config) -> said.Preference:
    """What the config says of preference pairs, or the library's defaults."""
    return config.preference or said.Preference()


def pairs_of(config: Config, spec: recipes.Recipe) -> recipes.Recipe:
    """The recipe of the config, turned into one of preference pairs as the config's section says. Raises Wrong."""
    wanted, choice = preference_of(config), spec.models["respondent"]
    second = choice.model_copy(update={"model": wanted.secondary_model}) if wanted.secondary_model else None
    try:
        return recipes.Recipe.model_validate(
            dict(spec)
            | {
                "product": recipes.Pairs(
                    strategy=wanted.strategy, answers=wanted.num_responses, gap=wanted.min_score_gap, second=second
                ),
                "conversations": wanted.num_pairs,
                "max_turns": config.generation.max_turns if wanted.multi_turn else 1,
                "models": {**spec.models, "judge": choice},
                "judge": Judging(),
                "improve": None,
                "stopping": (),
                "concurrency": wanted.max_concurrency or PAIRS_AT_ONCE,
            }
        )
    except ValidationError as error:
        raise Wrong(*dict.fromkeys(_sentence(problem) for problem in error.errors(include_url=False))) from error


def _rule(rule: said.Stopping) -> rules.Rule:
    match rule:
        case said.Fixed():
            return rules.Conversations(number=rule.n)
        case said.ContextCoverage():
            return rules.Coverage(visits=rule.target_visits, share=rule.coverage_threshold)
        case said.PersonaUsage():
            return rules.Personas(number=rule.n_personas)
        case said.TokenBudget():
            return rules.Spending(
                prompt_tokens=rule.max_prompt_tokens,
                completion_tokens=rule.max_completion_tokens,
                tokens=rule.max_total_tokens,
            )
        case said.RateLimit():
            window = max(50, rule.min_samples)
            return rules.ErrorRate(rate=rule.max_error_rate, least=rule.min_samples, window=window)
        case said.All():
            return rules.AllOf(rules=tuple(_rule(inner) for inner in rule.conditions))


# -- what is done otherwise -----------------------------------------------------------------------------------------------


def export_formats(config: Config) -> dict[str, str]:
    """The formats that the config asks for and that there are, by the name that it gives them: their names here."""
    wanted = config.output.export.formats if config.output.export else []
    found = {name: SAME.get(name, name) for name in wanted}
    return {name: known for name, known in found.items() if known in FORMATS}


def left_aside(config: Config) -> list[str]:
    """What the config asks for that is done otherwise here, or not at all: a sentence each."""
    return list(_left_aside(config))


def left_aside_of_pairs(config: Config) -> list[str]:
    """The same where preference pairs are made of it."""
    return list(_left_aside_of_pairs(config))


def _left_aside_of_pairs(config: Config) -> Iterator[str]:
    yield "Conversations whose answers are judged alike make no pair, so that there may be fewer pairs."
    if preference_of(config).save_log:
        yield "save_log: every answer stays in the project with its score, and the format ultrafeedback writes them all."
    if config.generation.stopping:
        yield "generation.stopping is left aside: num_pairs alone ends a run of pairs."
    if config.quality.auto_improve:
        yield "auto_improve is left aside: pairs compare answers as they were given."
    if config.skills.enabled or config.skill is not None:
        yield SKILLS


def left_to_pages(config: Config) -> list[str]:
    """The same where a run is only launched: what is done with its conversations afterwards has pages of its own."""
    return [*_left_aside(config), *_after_the_run(config)]


def _left_aside(config: Config) -> Iterator[str]:
    if config.generation.num_dialogs is None and config.num_requested is None:
        yield f"No number of conversations is given, so at most {MOST:,} are made."
    if config.quality.auto_improve:
        yield (
            "auto_improve: conversations are judged by factuality, grounding and helpfulness, and made again at most "
            f"{recipes.Improving().attempts} times; the best one counts."
        )
    if config.skills.enabled or config.skill is not None:
        yield SKILLS
    if config.preference is not None:
        yield (
            "The section preference says nothing of conversations: runs of pairs are a choice of the run's form, and on "
            "the command line --preference."
        )
    if config.output.storage == "sql":
        yield "storage sql: conversations are kept in the database of this installation."
    if config.output.export and (config.output.export.split or 0) > 0.5:
        share = config.output.export.split
        yield f"output.export.split is the share for validation: with {share:g} the smaller part is left to train on."
    known = export_formats(config)
    unknown = [name for name in (config.output.export.formats if config.output.export else ()) if name not in known]
    if unknown:
        yield f"output.export.formats: there is no {_quoted(unknown)} here; there are {', '.join(FORMATS)}."


def _after_the_run(config: Config) -> Iterator[str]:
    if "path" in config.output.model_fields_set:
        yield "output.path: conversations are kept in this project; a new export writes a file of them."
    export = config.output.export
    if export and export.formats:
        how = f", with the share {export.split:g} for validation" if export.split else ""
        yield (
            f"output.export: when the run has ended, ask for {_quoted(export_formats(config))} under Exports{how}"
            f"{_order(export) if export.split else ''}."
        )
    if config.analytics.auto_analyze:
        yield "auto_analyze: when the run has ended, ask for the report under Quality, and download it as one file there."


def _order(export: said.Export) -> str:
    return f", shuffled by the seed {export.seed}" if export.shuffle else ", in the order as they are"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"“{name}”" for name in names)
