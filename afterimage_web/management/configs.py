"""A config file of the AfterImage library, carried out without a browser: where its paths and its key can be reached."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from datasets.formats import Options
from datasets.formats.splitting import Split
from datasets.index import IndexDenied
from datasets.models import Corpus, Persona, Project, SourceFile
from datasets.models.adopted import MOST_POINTS
from datasets.services.collecting import adopting, ingest
from datasets.services.errors import Refused
from datasets.services.personas.reviewing import accept_all
from generation.engine.recipe import Recipe
from generation.models import Endpoint, PersonaGrowth, Run
from generation.services.afterimage import recipe as afterimage
from generation.services.afterimage import runs as rows
from generation.services.afterimage.config import Config, Export, Preference
from generation.services.afterimage.recipe import Wrong
from generation.services.growing import growths
from generation.services.growing.desk import GROWTHS

from .delivering import Say, write_report, write_rows, write_split
from .folders import corpus_named, read_files, read_folder


@dataclass(frozen=True)
class ConfigJob:
    """What a config asks for. What the command line says besides (None: nothing) comes before what the config says."""

    config: Config
    options: dict[str, Any]

    @classmethod
    def read(cls, path: Path, options: dict[str, Any]) -> ConfigJob:
        """Raises Wrong for a config that cannot be carried out, and CommandError for a file that cannot be read."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{path} cannot be read: name a config file in YAML.") from error
        config = afterimage.read_config(text, path.resolve().parent)
        if options["preference"] and options["dialogs"]:
            wanted = afterimage.preference_of(config).model_copy(update={"num_pairs": options["dialogs"]})
            config = config.model_copy(update={"preference": wanted})
        counts = {"num_dialogs": "dialogs", "max_turns": "turns", "max_concurrency": "concurrency"}
        told = {key: options[name] for key, name in counts.items() if options[name] is not None}
        model = {"model_name": options["model"]} if options["model"] else {}
        update = {
            "generation": config.generation.model_copy(update=told),
            "model": config.model.model_copy(update=model),
        }
        return cls(config.model_copy(update=update), options)

    @cached_property
    def key(self) -> str:
        """Of the provider. Raises Wrong when it is not there and an endpoint of the project is not named instead."""
        return "" if self.options["endpoint"] else afterimage.key_of(self.config, os.environ)

    def check(self) -> None:
        """What can be known before the services run. Raises Wrong."""
        _ = self.key

    @property
    def out(self) -> Path:
        if self.options["out"]:
            return Path(self.options["out"])
        if self.pairs:
            return Path(self.pairs.output_path).expanduser()
        if self.config.output.storage == "sql":
            raise Wrong("output.path names a database: say with --out FILE where the rows are written.")
        return Path(self.config.output.path).expanduser()

    @property
    def format(self) -> str:
        return self.options["format"] or (self.pairs.output_format if self.pairs else "raw")

    @property
    def pairs(self) -> Preference | None:
        """What is asked for of preference pairs; None when conversations are."""
        return afterimage.preference_of(self.config) if self.options["preference"] else None

    def options_of(self, format: str) -> Options:
        """As the library writes it: reasoning stands in its own rows alone."""
        if self.pairs:
            return Options(min_gap=self.pairs.min_score_gap)
        return Options(reasoning=format == "raw", min_gap=afterimage.EXPORTED_GAP)

    def deliver(self, run: Run, say: Say) -> None:
        """The other files that it asks for. One that cannot be written is told, and the others are written."""
        if self.pairs:
            return
        for name, known in afterimage.export_formats(self.config).items():
            self._try(name, say, partial(self._export, run, name, known, say))
        if self.config.analytics.auto_analyze:
            self._try("The report", say, partial(self._analyze, run, say))

    @staticmethod
    def _try(name: str, say: Say, write: Callable[[], None]) -> None:
        try:
            write()
        except (CommandError, Refused, OSError) as error:
            say(f"{name} is not written: {error}")

    def _export(self, run: Run, name: str, known: str, say: Say) -> None:
        wanted, paths, options = self.config.output.export or Export(), self._paths(name), self.options_of(known)
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        if wanted.split is None:
            say(f"{write_rows(run, paths[0], known, options, say)} conversations in {paths[0]}")
            return
        split = Split(wanted.split, shuffle=wanted.shuffle, seed=wanted.seed)
        train, held = paths
        made = write_split(run, train, held, known, options, split, say)
        say(f"{made.rows_to_train} conversations in {train}, {made.rows_held} in {held}")

    def _paths(self, name: str) -> list[Path]:
        """One, or those of training and validation, as the library calls them."""
        wanted = self.config.output.export or Export()
        folder = Path(wanted.output_dir).expanduser() if wanted.output_dir else self.out.parent
        sides = [""] if wanted.split is None else ["_train", "_val"]
        return [folder / f"{self.out.stem}_{name}{side}.jsonl" for side in sides]

    def _analyze(self, run: Run, say: Say) -> None:
        path = self.report_path
        path.parent.mkdir(parents=True, exist_ok=True)
        write_report(run, path)
        say(f"The report is in {path}")

    @property
    def report_path(self) -> Path:
        named = self.config.analytics.output_path
        return Path(named).expanduser() if named else self.out.with_suffix(".html")

    def plan(self) -> Iterator[str]:
        """What would be done, a line each. Raises Wrong when the key is missing."""
        config, documents = self.config, self.config.documents
        where = self.options["endpoint"] or f"{config.model.provider} at {afterimage.base_url_of(config)}"
        yield f"Model: {config.model.model_name}, {where}{' (with a key)' if self.key else ''}"
        place = documents and (documents.path or f"collection {documents.collection}")
        yield f"Documents: {documents.provider}, {place}" if documents else "Documents: none"
        if pairs := self.pairs:
            yield f"Pairs: {pairs.num_pairs}, of {pairs.num_responses} answers by {pairs.strategy}, {pairs.min_score_gap} apart"
        else:
            number = config.num_requested or f"at most {afterimage.MOST}"
            yield f"Conversations: {number}, of 1 to {config.generation.max_turns} turns"
            yield f"Stops by: {', '.join(rule.type for rule in config.generation.stopping) or 'that number'}"
            yield f"At once: {afterimage.concurrency_of(config)}"
        yield f"Rows: {self.out} ({self.format})"
        if not self.pairs:
            yield from (f"Also: {path}" for name in afterimage.export_formats(config) for path in self._paths(name))
        if config.analytics.auto_analyze and not self.pairs:
            yield f"Report: {self.report_path}"
        yield from self._notes()

    # -- carried out ----------------------------------------------------------------------------------------------------

    def spec(self, project: Project, endpoint: Endpoint | None, say: Say) -> Recipe:
        """The recipe, once documents are read and personas grown. `endpoint` is the one that was named, if any."""
        server = endpoint or rows.make_endpoint(project=project, config=self.config, key=self.key)
        corpus = self._corpus(project, say)
        personas = self._personas(corpus, server, say) if corpus and self.config.personas.enabled else ()
        prompt = rows.prompt_for(project=project, text=self.config.respondent.system_prompt or "", author=None)
        choice = rows.choice_of(self.config, server)
        spec = afterimage.recipe_of(
            self.config, corpus=corpus.pk if corpus else None, prompt=prompt.pk, choice=choice, personas=personas
        )
        for note in self._notes():
            say(note)
        spec = afterimage.pairs_of(self.config, spec) if self.pairs else spec
        return spec.model_copy(update={"seed": self.options["seed"] or 0})

    def _notes(self) -> list[str]:
        if self.pairs:
            return afterimage.left_aside_of_pairs(self.config)
        return afterimage.left_aside(self.config)

    def _corpus(self, project: Project, say: Say) -> Corpus | None:
        documents = self.config.documents
        if documents is None:
            return None
        if documents.provider == "qdrant":
            return self._collection(project, say)
        path = Path(documents.path or "")
        corpus = corpus_named(project, path.name[:100] or "Documents")
        if documents.provider == "directory":
            if not path.is_dir():
                raise Wrong(f"documents.path is no folder: {path}")
            read_folder(path, corpus, say)
            return corpus
        paths = sorted(Path(found) for found in glob.glob(str(path), recursive=True) if os.path.isfile(found))
        if not paths:
            raise Wrong(f"documents.path leads to no file: {path}")
        options = {"content_key": documents.content_key} if documents.provider == "jsonl" else {}
        read_files(paths, Path(os.path.commonpath([one.parent for one in paths])), corpus, say, options)
        return corpus

    def _collection(self, project: Project, say: Say) -> Corpus:
        """The corpus that is the collection, adopted if it is not yet, and read anew if the collection has grown."""
        corpus = rows.corpus_for(project, self.config) or self._adopted(project)
        if corpus.adopted and corpus.adopted.points != adopting.look_again(corpus=corpus).points:
            corpus.files.ask_reading()
        for source in corpus.files.exclude(state=SourceFile.State.READY):
            ingest.ingest(source.pk)
            source.refresh_from_db()
            if source.error:
                say(f"{source.name}: {source.error}")
        return corpus

    def _adopted(self, project: Project) -> Corpus:
        documents: Any = self.config.documents
        names = (f"{documents.collection[:90]} {number}".removesuffix(" 1") for number in count(1))
        try:
            corpus, _ = adopting.adopt_collection(
                project=project,
                name=next(name for name in names if not project.corpora.filter(name=name).exists()),
                url=(documents.url or afterimage.QDRANT).rstrip("/"),
                key="",
                collection=documents.collection,
                reading=adopting.Reading(content_key=documents.content_key, max_docs=MOST_POINTS),
                user=None,
            )
        except Refused as refusal:
            if isinstance(refusal.__cause__, IndexDenied):
                raise Wrong(
                    f"{documents.url} wants an API key, and a config has no place for one: adopt the collection under "
                    "Corpora with its key, in the project that you name with --project, and it is found from then on."
                ) from refusal
            raise
        return corpus

    def _personas(self, corpus: Corpus, endpoint: Endpoint, say: Say) -> Sequence[int]:
        """Those of the corpus's documents; grown now where there are none, and accepted as they are."""
        found = rows.personas_of(corpus)
        if found:
            return found
        order = growths.Order(
            corpus=corpus,
            endpoint=endpoint,
            model=rows.choice_of(self.config, endpoint).model,
            depth=self.config.personas.n_iterations,
            conversations=self.config.num_requested,
            concurrency=afterimage.concurrency_of(self.config),
        )
        growth = growths.start_growth(project=corpus.project, order=order, user=None)
        say(f"Growing personas from {growth.documents} documents …")
        _grow(growth)
        accept_all(project=corpus.project, personas=Persona.objects.filter(document__corpus=corpus), actor=None)
        found = rows.personas_of(corpus)
        if not found:
            raise CommandError(f"No personas could be grown: {growth.reason or 'every document failed'}")
        return found


def _grow(growth: PersonaGrowth) -> None:
    """In this process, until it has ended: what failed for a passing reason is tried again only after a while."""
    while growth.is_active:
        GROWTHS.pull(growth.pk)
        time.sleep(0.2)
        growth.refresh_from_db()
