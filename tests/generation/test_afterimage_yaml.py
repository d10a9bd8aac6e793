"""Config files of the AfterImage library: read as they are, refused in sentences, and turned into recipes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from django.urls import reverse

from datasets.models import AdoptedCollection, Corpus, Project, Prompt, User
from datasets.services.personas.saving import save_persona
from generation.engine import rules
from generation.engine.recipe import ModelChoice, Recipe
from generation.models import Endpoint
from generation.services.afterimage import recipe as afterimage
from generation.services.afterimage.recipe import Wrong, read_config, recipe_of
from tests.factories import make_corpus, make_project

Clients = Callable[[User], Client]
PROMPT = {"system_prompt": "You help nurses."}
CHOICE = ModelChoice(endpoint=7, model="m")


def text_of(**sections: Any) -> str:
    return yaml.safe_dump({"respondent": PROMPT, **sections})


def read(base_dir: Path | None = None, **sections: Any) -> Any:
    return read_config(text_of(**sections), base_dir)


def wrong(text: str, base_dir: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(Wrong) as caught:
        read_config(text, base_dir)
    return caught.value.sentences


def recipe(**sections: Any) -> Recipe:
    return recipe_of(read(**sections), corpus=3, prompt=5, choice=CHOICE, personas=(1, 2))


# -- reading ------------------------------------------------------------------------------------------------------------


def test_a_minimal_config_has_the_librarys_defaults() -> None:
    config = read()
    assert (config.generation.num_dialogs, config.generation.max_turns, config.model.provider) == (10, 1, "gemini")
    assert config.model.model_name == "gemini-2.0-flash"
    assert (config.context.num_random_contexts, config.context.n_instructions) == (2, 3)
    assert config.output.path == "./afterimage_output.jsonl"
    assert config.respondent.system_prompt == "You help nurses."


def test_every_key_of_the_library_is_accepted() -> None:
    config = read(
        generation={"num_dialogs": None, "max_turns": 4, "max_concurrency": 3, "stopping": [
            {"type": "fixed", "n": 9},
            {"type": "context_coverage", "target_visits": 2, "coverage_threshold": 0.5},
            {"type": "persona_usage", "n_personas": 4},
            {"type": "budget", "max_prompt_tokens": 1, "max_completion_tokens": 2, "max_total_tokens": 3},
            {"type": "rate_limit", "max_error_rate": 0.2, "min_samples": 5},
            {"type": "all", "conditions": [{"type": "fixed", "n": 3}]},
        ]},
        model={"provider": "local", "model_name": "m", "api_key_env": "KEY", "base_url": "http://localhost:9/v1"},
        documents={"provider": "jsonl", "path": "docs.jsonl", "collection": None, "url": None, "content_key": "body",
                   "preserve_ids": True, "include_metadata": True},
        context={"enabled": True, "num_random_contexts": 1, "n_instructions": 1},
        personas={"enabled": True, "n_iterations": 0},
        quality={"auto_improve": True},
        skills={"enabled": True, "path": "./s", "mode": "context_id"},
        output={"path": "x.jsonl", "storage": "jsonl", "export": {
            "formats": ["messages"], "output_dir": "out", "split": 0.1, "shuffle": False, "seed": 1}},
        analytics={"auto_analyze": True, "output_path": "r.html"},
        preference={"num_pairs": 1, "num_responses": 2, "min_score_gap": 0.2, "strategy": "model",
                    "secondary_model": "m2", "multi_turn": True, "max_concurrency": 2, "output_format": "orpo",
                    "output_path": "p.jsonl", "save_log": True},
        skill={"output_dir": "s", "iterations": 2, "models": {"judge": {"model_name": "j"}}},
    )  # fmt: skip
    assert config.num_requested == 9
    aside = afterimage.left_aside(config)
    assert [sentence.split(":")[0].split(" says")[0] for sentence in aside] == [
        "auto_improve",
        "Skills are not used here",
        "The section preference",
    ]
    assert aside[-1].endswith("--preference.")
    assert [sentence.split(":")[0] for sentence in afterimage.left_to_pages(config)[3:]] == [
        "output.path",
        "output.export",
        "auto_analyze",
    ]


def test_a_prompt_file_and_documents_start_from_the_folder_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("  You help pilots.\n")
    config = read(tmp_path, respondent={"system_prompt_file": "prompt.txt"}, documents={"path": "docs"})
    assert config.respondent.system_prompt == "You help pilots."
    assert config.documents.path == str(tmp_path / "docs")
    assert read(tmp_path, documents={"path": "/elsewhere"}).documents.path == "/elsewhere"


def test_numbers_that_are_wanted_come_from_the_first_fixed_rule() -> None:
    stopping = [{"type": "rate_limit"}, {"type": "fixed", "n": 7}, {"type": "fixed", "n": 9}]
    assert read(generation={"stopping": stopping}).num_requested == 7
    assert read(generation={"num_dialogs": 4}).num_requested == 4


# -- what is wrong ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"respondent": {}}, "give system_prompt or system_prompt_file"),
        ({"respondent": {"system_prompt": "a", "system_prompt_file": "b"}}, "not both"),
        ({"respondent": {"system_prompt": " "}}, "The assistant's prompt is empty"),
        ({"respondent": {"system_prompt_file": "b"}}, "is a file on your computer"),
        ({"generation": {"num_dialogs": None}}, "Nothing ends the run"),
        ({"generation": {"max_turns": 0}}, "“generation.max_turns”: Input should be greater than or equal to 1"),
        ({"generation": {"max_concurrency": 0}}, "greater than or equal to 1"),
        ({"generation": {"num_dialogs": "many"}}, "valid integer"),
        ({"generation": {"stopping": [{"type": "budget"}]}}, "“generation.stopping.0”: A budget needs a limit"),
        (
            {"generation": {"stopping": [{"type": "context_coverage"}]}},
            "context_coverage rule needs a documents section",
        ),
        ({"generation": {"stopping": [{"type": "persona_usage", "n_personas": 1}]}}, "needs personas.enabled"),
        ({"generation": {"stopping": [{"type": "fixed"}]}}, "“generation.stopping.0.n” is missing"),
        ({"generation": {"stopping": [{"type": "never"}]}}, "“generation.stopping.0.type” is none of these: fixed"),
        ({"generation": {"stopping": [{"n": 1}]}}, "“generation.stopping.0” has no type"),
        ({"generation": {"stopping": [{"type": "all", "conditions": []}]}}, "at least 1 item"),
        ({"personas": {"enabled": True}}, "Personas come from documents"),
        ({"documents": {"path": "x"}, "context": {"enabled": False}}, "context.enabled is false"),
        ({"documents": {"provider": "directory"}}, "need a path"),
        ({"documents": {"provider": "qdrant"}}, "need a collection"),
        (
            {"documents": {"provider": "memory"}},
            "“documents.provider”: Input should be 'directory', 'file', 'jsonl' or",
        ),
        ({"model": {"provider": "gemni"}}, "“model.provider”: Input should be 'gemini'"),
        ({"quality": None}, "“quality”"),
    ],
)
def test_each_rule_that_is_broken_is_a_sentence(sections: dict[str, Any], sentence: str) -> None:
    said = wrong(text_of(**sections))
    assert any(sentence in one for one in said), said


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"generaton": {}}, "“generaton” is no key of AfterImage: did you mean “generation”?"),
        (
            {"generation": {"num_dialog": 3}},
            "“generation.num_dialog” is no key of AfterImage: did you mean “num_dialogs”?",
        ),
        ({"model": {"temperature": 3}}, "“model.temperature” is no key of AfterImage: known are api_key_env, base_url"),
        (
            {"output": {"export": {"format": []}}},
            "“output.export.format” is no key of AfterImage: did you mean “formats”?",
        ),
        (
            {"generation": {"stopping": [{"type": "all", "conditions": [{"type": "fixed", "n": 1, "m": 2}]}]}},
            "“generation.stopping.0.conditions.0.m” is no key of AfterImage",
        ),
        (
            {"generation": {"stopping": [{"type": "context_coverage", "target_visit": 2}]}},
            "did you mean “target_visits”?",
        ),
    ],
)
def test_an_unknown_key_is_named_with_what_was_probably_meant(sections: dict[str, Any], sentence: str) -> None:
    said = wrong(text_of(**sections))
    assert any(sentence in one for one in said), said


def test_everything_that_is_wrong_is_said_at_once() -> None:
    said = wrong(text_of(modle={}, generation={"max_turns": 0, "turns": 1}))
    assert len(said) == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("respondent: [", "cannot be read as YAML (line"),
        ("just words", "this has none"),
        ("", "this has none"),
        ("generation: {}", "“respondent” is missing"),
        ("x" * 100_001, "too long"),
        ("!!python/object/apply:os.system [ls]", "cannot be read as YAML"),
        ("[" * 5_000, "cannot be read as YAML"),
    ],
)
def test_what_is_no_config_is_refused(text: str, sentence: str) -> None:
    assert any(sentence in one for one in wrong(text))


def test_aliases_may_be_used_but_not_to_grow_without_end() -> None:
    config = read_config("skill:\n  a: &text You help.\nrespondent:\n  system_prompt: *text", None)
    assert config.respondent.system_prompt == "You help."
    levels = "\n".join(f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10))
    assert (
        "too large once its aliases" in wrong(f"skill:\n  l0: &l0 [1]\n{levels}\nrespondent: {{system_prompt: x}}")[0]
    )
    assert "too large once its aliases" in wrong("skill: &a {b: *a}\nrespondent: {system_prompt: x}")[0]


def test_a_prompt_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    [sentence] = wrong(text_of(respondent={"system_prompt_file": "nowhere.txt"}), tmp_path)
    assert f"{tmp_path}/nowhere.txt (No such file" in sentence
    (tmp_path / "latin.txt").write_bytes("Größe".encode("latin-1"))
    assert "not UTF-8" in wrong(text_of(respondent={"system_prompt_file": "latin.txt"}), tmp_path)[0]


def test_rules_stand_inside_each_other_eight_levels_deep_at_most() -> None:
    rule: dict[str, Any] = {"type": "fixed", "n": 3}
    for _ in range(8):
        rule = {"type": "all", "conditions": [rule]}
    read(generation={"stopping": [rule]})
    deeper = {"type": "all", "conditions": [rule]}
    assert "8 levels deep" in wrong(text_of(generation={"stopping": [deeper]}))[0]


# -- keys and pace ------------------------------------------------------------------------------------------------------


def test_the_key_comes_from_the_environment_of_the_provider_or_the_one_that_is_named() -> None:
    environment = {"GEMINI_API_KEY": "g", "OPENAI_API_KEY": "o", "DEEPSEEK_API_KEY": "d", "OPENROUTER_API_KEY": "r"}
    keys = [afterimage.key_of(read(model={"provider": name}), environment) for name in afterimage.KEYS]
    assert keys == ["g", "o", "d", "r"]
    named = read(model={"provider": "openai", "api_key_env": "MINE"})
    assert afterimage.key_of(named, {"MINE": "m"}) == "m"
    with pytest.raises(Wrong, match="export MINE=your-key"):
        afterimage.key_of(named, environment)
    assert afterimage.key_of(read(model={"provider": "local"}), {}) == ""


def test_the_pace_is_the_providers_unless_it_is_given() -> None:
    pace = {name: afterimage.concurrency_of(read(model={"provider": name})) for name in (*afterimage.KEYS, "local")}
    assert pace == {"gemini": 2, "openai": 2, "deepseek": 16, "openrouter": 2, "local": 8}
    assert afterimage.concurrency_of(read(generation={"max_concurrency": 5})) == 5


# -- what it means here -------------------------------------------------------------------------------------------------


def test_a_config_without_documents_becomes_an_ungrounded_recipe() -> None:
    spec = recipe(generation={"num_dialogs": 40, "max_turns": 3}, context={"n_instructions": 4})
    assert (spec.corpus, spec.retrieval.when, spec.conversations, spec.max_turns) == (None, "never", 40, 3)
    assert (spec.questions.batch, spec.respondent_prompt, spec.personas) == (4, 5, ())
    assert spec.models == dict.fromkeys(("instruction", "correspondent", "respondent"), CHOICE)
    assert (spec.judge, spec.improve, spec.concurrency) == (None, None, 2)


def test_a_config_with_documents_shows_the_respondent_what_the_question_came_from() -> None:
    spec = recipe(documents={"path": "docs"}, personas={"enabled": True}, quality={"auto_improve": True})
    assert (spec.corpus, spec.contexts, spec.questions.batch, spec.personas) == (3, 2, 3, (1, 2))
    assert (spec.retrieval.when, spec.retrieval.with_context) == ("never", True)
    assert spec.judge is not None
    assert spec.improve is not None
    assert spec.improve.below == 0.72
    assert spec.models["judge"] == CHOICE


def test_stopping_rules_become_rules_of_the_recipe() -> None:
    stopping = [
        {"type": "fixed", "n": 9},
        {"type": "context_coverage", "target_visits": 2, "coverage_threshold": 0.5},
        {"type": "budget", "max_completion_tokens": 5, "max_total_tokens": 8},
        {"type": "rate_limit", "max_error_rate": 0.25, "min_samples": 60},
        {"type": "all", "conditions": [{"type": "persona_usage", "n_personas": 2}, {"type": "fixed", "n": 4}]},
    ]
    spec = recipe(documents={"path": "x"}, personas={"enabled": True}, generation={"stopping": stopping})
    assert spec.stopping == (
        rules.Conversations(number=9),
        rules.Coverage(visits=2, share=0.5),
        rules.Spending(completion_tokens=5, tokens=8),
        rules.ErrorRate(rate=0.25, least=60, window=60),
        rules.AllOf(rules=(rules.Personas(number=2), rules.Conversations(number=4))),
    )
    assert spec.most_conversations == 9


def test_a_run_that_only_rules_end_is_bounded_and_says_so() -> None:
    budget = {"num_dialogs": None, "stopping": [{"type": "budget", "max_total_tokens": 1000}]}
    assert recipe(generation=budget).conversations == afterimage.MOST
    assert any("at most 10,000" in note for note in afterimage.left_aside(read(generation=budget)))


def test_a_split_that_leaves_little_to_train_on_is_pointed_out() -> None:
    for share, said in ((0.9, 1), (0.5, 0), (0.1, 0)):
        notes = afterimage.left_aside(read(output={"export": {"formats": ["messages"], "split": share}}))
        assert sum("is the share for validation: with 0.9" in note for note in notes) == said


def test_what_is_beyond_a_recipe_is_a_sentence() -> None:
    with pytest.raises(Wrong, match="“max_turns”: Input should be less than or equal to 50"):
        recipe(generation={"max_turns": 60})


# -- on the page --------------------------------------------------------------------------------------------------------

OPENAI = {"provider": "openai", "model_name": "gpt-x"}


@pytest.fixture
def curator(teammate: User, client_of: Clients) -> Client:
    return client_of(teammate)


@pytest.fixture
def endpoint(project: Project) -> Endpoint:
    return Endpoint.objects.create(
        project=project, name="Theirs", preset="openai", base_url="https://api.openai.com/v1/", chat_model="m"
    )


def paste(project: Project, client: Client, text: str, **chosen: Any) -> Any:
    return client.post(reverse("generation:recipe-config", args=[project.slug]), {"config": text, **chosen})


@pytest.mark.django_db
def test_a_pasted_config_fills_the_form_of_a_run(project: Project, curator: Client, endpoint: Endpoint) -> None:
    corpus = make_corpus(project)
    text = text_of(model=OPENAI, documents={"path": "docs"}, generation={"num_dialogs": 33}, skills={"enabled": True})
    answer = paste(project, curator, text, corpus=corpus.pk)
    assert answer.status_code == 200
    prompt = Prompt.objects.get(project=project, current__text="You help nurses.")
    initial = answer.context["form"].initial
    assert (initial["corpus"], initial["respondent_prompt"], initial["conversations"]) == (corpus.pk, prompt.pk, 33)
    assert "gpt-x" in str(initial.values())
    assert "Skills are not used here" in answer.content.decode()
    paste(project, curator, text, corpus=corpus.pk)
    assert Prompt.objects.filter(project=project, current__text="You help nurses.").count() == 1


@pytest.mark.django_db
def test_the_form_of_a_run_leads_to_where_a_config_is_pasted(project: Project, curator: Client) -> None:
    place = reverse("generation:recipe-list", args=[project.slug])
    form = curator.get(reverse("generation:run-new", args=[project.slug])).content.decode()
    assert f'<a href="{place}#config">' in form
    assert 'id="config"' in curator.get(place).content.decode()


@pytest.mark.django_db
def test_what_comes_after_a_run_is_named_with_the_page_that_does_it(
    project: Project, curator: Client, endpoint: Endpoint
) -> None:
    export = {"formats": ["sharegpt", "alpaka", "oumi"], "split": 0.1, "seed": 3}
    output = {"path": "x.jsonl", "export": export}
    page = paste(project, curator, text_of(model=OPENAI, output=output, analytics={"auto_analyze": True}))
    for sentence in (
        "output.path: conversations are kept in this project; a new export writes a file of them.",
        "ask for “sharegpt”, “oumi” under Exports, with the share 0.1 for validation, shuffled by the seed 3.",
        "there is no “alpaka” here; there are messages,",
        "ask for the report under Quality",
    ):
        assert sentence in page.content.decode()
    plain = paste(project, curator, text_of(model=OPENAI)).content.decode()
    assert "output." not in plain
    assert "under Quality" not in plain


@pytest.mark.django_db
def test_documents_on_somebodys_disk_have_to_be_chosen_as_a_corpus(
    project: Project, curator: Client, endpoint: Endpoint
) -> None:
    answer = paste(project, curator, text_of(model=OPENAI, documents={"path": "./docs"}))
    assert answer.status_code == 422
    [sentence] = answer.context["config"].errors["corpus"]
    assert "(./docs) is on your computer" in sentence
    assert not Prompt.objects.filter(project=project, current__text="You help nurses.").exists()


@pytest.mark.django_db
def test_a_collection_that_was_adopted_is_found(project: Project, curator: Client, endpoint: Endpoint) -> None:
    documents = {"provider": "qdrant", "url": "http://q:6333", "collection": "law"}
    text = text_of(model=OPENAI, documents=documents)
    assert "adopt it under Corpora" in str(paste(project, curator, text).context["config"].errors["corpus"])
    adopted = AdoptedCollection.objects.create(url="http://q:6333/", collection="law", content_key="text")
    corpus = Corpus.objects.create(project=project, name="Law", adopted=adopted)
    assert paste(project, curator, text).context["form"].initial["corpus"] == corpus.pk


@pytest.mark.django_db
def test_a_server_that_the_project_does_not_know_has_to_be_chosen(project: Project, curator: Client) -> None:
    answer = paste(project, curator, text_of(model=OPENAI))
    assert "No endpoint of this project is at https://api.openai.com/v1" in str(
        answer.context["config"].errors["endpoint"]
    )
    offline = Endpoint.objects.create(project=project, name="Nobody", preset="offline", chat_model="offline")
    assert paste(project, curator, text_of(model=OPENAI), endpoint=offline.pk).status_code == 200


@pytest.mark.django_db
def test_personas_of_the_project_take_part_or_are_asked_for(
    project: Project, curator: Client, teammate: User, endpoint: Endpoint
) -> None:
    corpus = make_corpus(project)
    text = text_of(model=OPENAI, documents={"path": "x"}, personas={"enabled": True})
    assert "this project has none" in str(paste(project, curator, text, corpus=corpus.pk).context["config"].errors)
    save_persona(project=project, name="Nurse", description="At night.", features={}, author=teammate)
    assert paste(project, curator, text, corpus=corpus.pk).context["form"].initial["persona_groups"] == ["{}"]


@pytest.mark.django_db
def test_an_error_in_a_pasted_config_stands_beside_it(project: Project, curator: Client) -> None:
    answer = paste(project, curator, text_of(generation={"num_dialog": 3}))
    assert answer.status_code == 422
    assert "did you mean “num_dialogs”?" in str(answer.context["config"].errors["config"])
    assert "num_dialog: 3" in answer.content.decode()


@pytest.mark.django_db
def test_only_curators_paste_and_only_rows_of_the_project_can_be_chosen(
    project: Project, annotator: User, stranger: User, curator: Client, client_of: Clients
) -> None:
    for user, status in ((annotator, 403), (stranger, 404)):
        assert paste(project, client_of(user), text_of()).status_code == status
    foreign = make_corpus(make_project())
    answer = paste(project, curator, text_of(documents={"path": "x"}), corpus=foreign.pk)
    assert "corpus" in answer.context["config"].errors
    assert curator.get(reverse("generation:recipe-config", args=[project.slug])).status_code == 405


def test_what_a_config_says_that_pairs_have_no_place_for_is_told() -> None:
    config = read(
        preference={"save_log": True},
        generation={"stopping": [{"type": "fixed", "n": 3}]},
        quality={"auto_improve": True},
        skills={"enabled": True},
    )
    notes = " ".join(afterimage.left_aside_of_pairs(config))
    for told in ("save_log", "generation.stopping is left aside", "auto_improve is left aside", "Skills are not used"):
        assert told in notes
    assert len(afterimage.left_aside_of_pairs(read(preference={}))) == 1
