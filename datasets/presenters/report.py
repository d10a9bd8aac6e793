"""How a report looks: its charts, and the file that holds all of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from datasets.models import Grade, Report
from datasets.presenters import charts
from datasets.presenters.charts import Tone
from datasets.reports.findings import CoverageFindings, Findings, Length, PersonaFindings, QualityFindings
from datasets.services.publishing.reports import findings_of

TONES: dict[str, Tone] = {
    Grade.PERFECT: "done",
    Grade.GOOD: "ghost",
    Grade.NEEDS_IMPROVEMENT: "flagged",
    Grade.BAD: "accent",
    Grade.NOT_ACCEPTABLE: "failed",
}


def shown(report: Report) -> dict[str, Any]:
    """What `datasets/report_body.html` shows of a report: nothing until it is done."""
    findings = findings_of(report)
    return {"report": report, "findings": findings, "figures": findings and figures(findings)}


def figures(findings: Findings) -> dict[str, SafeString]:
    return {
        **_quality(findings.quality),
        **_coverage(findings.coverage),
        **_personas(findings.personas),
        "user_words": _lengths("Words of a user's message", findings.lengths.user, "accent"),
        "assistant_words": _lengths("Words of an assistant's message", findings.lengths.assistant, "ghost"),
    }


def file_of(report: Report) -> str:
    """A page of one file: it opens from a disk, asks no host for anything and follows the reader's light or dark."""
    return render_to_string("datasets/report_file.html", {**shown(report), "styles": _styles(), "file": True})


def _quality(quality: QualityFindings) -> dict[str, SafeString]:
    names = [*Grade.values, *sorted(set(quality.grades) - set(Grade.values))]
    labels = dict(Grade.choices)
    grades = {labels.get(name, name): quality.grades.get(name, 0) for name in names}
    rows = [(one.criterion.replace("_", " "), one.average) for one in quality.criteria if one.average is not None]
    bins = quality.scores
    return {
        "grades": charts.donut("Grades", grades, tones=[TONES.get(name, "waiting") for name in names]),
        "scores": charts.histogram("Overall scores", bins.edges, bins.counts, names=bins.names),
        "criteria": charts.bars("Average by criterion", rows, form=_score, tone="accent", top=1),
    }


def _coverage(coverage: CoverageFindings) -> dict[str, SafeString]:
    uses = {
        "In one conversation": coverage.used_once,
        "In several": coverage.used_more,
        "In none": coverage.never,
    }
    rows = [(one.name, one.conversations) for one in coverage.documents]
    return {
        "uses": charts.donut("Passages of the corpora used", uses, tones=["ghost", "accent", "waiting"]),
        "documents": charts.bars("Conversations a document", rows),
    }


def _personas(personas: PersonaFindings) -> dict[str, SafeString]:
    depths = {_depth(one.depth): one.conversations for one in personas.depths}
    return {
        "personas": charts.bars("Conversations a persona", [(one.name, one.conversations) for one in personas.top]),
        "depths": charts.donut("Steps from the document", depths),
    }


def _lengths(title: str, length: Length, tone: Tone) -> SafeString:
    bins = length.bins
    return charts.histogram(title, bins.edges, bins.counts, names=bins.names, tone=tone, open_ended=bins.open_ended)


def _depth(depth: int) -> str:
    return ("From the document", "One step on")[depth] if depth < 2 else f"{depth} steps on"


def _score(value: float) -> str:
    return f"{value:.2f}"


def _styles() -> SafeString:
    """The site's own, without the pictures that they name."""
    found = [finders.find(name) for name in ("app.css", "components.css")]
    text = "\n".join(Path(path).read_text("utf-8") for path in found if isinstance(path, str))
    return mark_safe(re.sub(r"url\([^)]*\)", "none", text))  # noqa: S308 (files of this project)
