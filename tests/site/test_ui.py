"""The tags and filters that pages are written with."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django import forms
from django.contrib.auth import password_validation
from django.contrib.auth.forms import AuthenticationForm
from django.template import Context, engines
from django.test import RequestFactory

from afterimage_web import words
from afterimage_web.templatetags import ui

NOW = datetime(2025, 3, 14, 12, tzinfo=UTC)


def render(source: str, **context: object) -> str:
    return engines["django"].engine.from_string(source).render(Context(context))


# Markdown: what a model or a member wrote must never run in a reader's browser -----------------------------------


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[click](javascript:alert(1))",
        "[click](JaVaScRiPt:alert(1))",
        "[click](&#106;avascript:alert(1))",
        "[click](data:text/html;base64,PHNjcmlwdD4=)",
        "[click](vbscript:msgbox)",
        "![x](https://evil.example/pixel.png)",
        '<a href="https://x.example" onclick="alert(1)">x</a>',
        "<iframe src=https://x.example></iframe>",
        "<svg/onload=alert(1)>",
        '[x](https://x.example "\\" onmouseover=\\"alert(1)")',
        "```html\n<script>alert(1)</script>\n```",
        "<style>body{display:none}</style>",
    ],
)
def test_hostile_markdown_becomes_harmless(hostile: str) -> None:
    html = words.markdown(hostile)
    assert not re.search(r"<(script|img|iframe|svg|style)", html)
    assert not re.search(r"<[^>]*\son\w+=", re.sub(r'"[^"]*"', '""', html))
    assert not re.search(r'href="(?!https?:|mailto:)', html)


def test_markdown_keeps_tables_lists_code_and_line_breaks() -> None:
    html = words.markdown("| a | b |\n|---|---|\n| 1 | 2 |\n\n1. one\n2. two\n\n`x < y`\n\nfirst\nsecond\n\n~~old~~")
    for piece in ("<td>1</td>", "<ol>", "<code>x &lt; y</code>", "first<br>", "<s>old</s>"):
        assert piece in html


def test_links_in_markdown_open_without_a_referrer() -> None:
    assert 'rel="noopener noreferrer nofollow"' in words.markdown("[site](https://x.example)")


def test_the_markdown_tag_takes_nothing_for_an_empty_text() -> None:
    assert render("{% markdown text %}", text=None) == '<div class="prose"></div>'


# Numbers and times ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "$0"),
        (Decimal("0.0000041"), "$0.00000410"),
        (0.01234, "$0.0123"),
        (0.5, "$0.500"),
        (4.5, "$4.50"),
        (12.345, "$12.35"),
        (10, "$10.00"),
        (99.96, "$100"),
        (123.4, "$123"),
        (1234.5, f"$1{words.THIN}235"),
        (-2, "−$2.00"),
        (None, "–"),
    ],
)
def test_money_has_its_cents_or_three_significant_digits(value: float | None, said: str) -> None:
    assert words.money(value) == said


def test_money_names_its_currency() -> None:
    assert words.money(3, "EUR") == "€3.00"
    assert words.money(3, "CHF") == f"CHF{words.GAP}3.00"


@pytest.mark.parametrize(
    ("value", "decimals", "said"), [(1234567, 0, "1 234 567"), (12.345, 1, "12.3"), (0, 0, "0"), (-4200, 0, "-4 200")]
)
def test_numbers_are_grouped_with_thin_spaces(value: float, decimals: int, said: str) -> None:
    assert words.number(value, decimals) == said.replace(" ", words.THIN)


@pytest.mark.parametrize(
    ("octets", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (482_133, "482 kB"), (999_950, "1.0 MB"), (1_403_999, "1.4 MB")],
)
def test_sizes_have_a_unit(octets: int, said: str) -> None:
    assert words.size(octets) == said.replace(" ", words.GAP)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0 s"),
        (0.042, "0.042 s"),
        (0.84, "0.84 s"),
        (3.25, "3.2 s"),
        (59.7, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (timedelta(days=3, hours=4, minutes=9), "3 d 4 h"),
    ],
)
def test_durations_have_at_most_two_units(value: float | timedelta, said: str) -> None:
    assert words.duration(value).replace(words.GAP, " ") == said


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        (timedelta(seconds=3), "just now"),
        (timedelta(seconds=45), "45 s ago"),
        (timedelta(minutes=4), "4 min ago"),
        (timedelta(hours=-2), "in 2 h"),
        (timedelta(days=3), "3 d ago"),
        (timedelta(days=40), "2 Feb"),
        (timedelta(days=400), "8 Feb 2024"),
    ],
)
def test_times_are_relative_until_a_month_has_passed(gap: timedelta, said: str) -> None:
    assert words.relative(NOW - gap, NOW).replace(words.GAP, " ") == said


def test_a_relative_time_shows_the_exact_one_on_hover() -> None:
    html = render("{% ago moment %}", moment=NOW)
    assert 'datetime="2025-03-14T12:00:00+00:00"' in html
    assert 'title="14 Mar 2025, 12:00:00 UTC"' in html
    assert render('{% ago moment empty="not yet" %}', moment=None) == "not yet"


def test_initials_stand_for_a_person() -> None:
    assert [words.initials(name) for name in ("ana.lopez@example.org", "Ben", "")] == ["AL", "B", "?"]


# Progress and charts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "counts", [{"done": 5, "running": 2, "failed": 1, "waiting": 12}, {"done": 1, "waiting": 99_999}, {"done": 3}]
)
def test_segments_fill_the_bar_without_gap_or_overlap(counts: dict[str, int]) -> None:
    parts = ui.segments(counts)
    assert sum(part["width"] for part in parts) == pytest.approx(100, abs=0.01)
    for left, right in pairwise(parts):
        assert left["x"] + left["width"] == pytest.approx(right["x"], abs=0.01)
    assert min(part["width"] for part in parts) > 0.7


def test_the_bar_says_its_counts_to_those_who_cannot_see_it() -> None:
    html = render("{% progress done=5 failed=1 waiting=14 %}")
    assert 'aria-valuetext="5 done, 1 failed, 14 waiting, of 20"' in html
    assert 'aria-valuenow="6"' in html


def test_a_bar_of_nothing_is_empty_but_said() -> None:
    assert 'aria-valuetext="nothing yet"' in render("{% progress %}")


def test_a_meter_turns_red_when_the_limit_is_reached_and_never_overflows() -> None:
    assert 'class="meter over"' in (html := render('{% meter 7 5 label="Budget" %}'))
    assert 'width="100' in html
    assert 'class="meter near"' in render('{% meter 4.5 5 label="Budget" %}')
    assert 'width="0' in render('{% meter 4 limit label="Budget" %}', limit=None)


def test_a_sparkline_draws_its_values_from_left_to_right() -> None:
    html = render('{% sparkline values label="Rate" %}', values=[0, 5, 10, None])
    assert 'points="0.0,28.0 33.33,15.0 66.67,2.0 100.0,28.0"' in html
    assert "highest 10.0, last 0.0" in html
    assert "nothing yet" in render('{% sparkline values label="Rate" %}', values=[])


# Small pieces --------------------------------------------------------------------------------------------------


def test_user_text_is_escaped_by_every_tag() -> None:
    bad = "<b onclick=x>"
    source = """{% status bad %}{% tile bad bad unit=bad note=bad %}{% icon "x" bad %}{% diff bad "" %}
      {% page_header bad subtitle=bad badge=bad %}{% endpage_header %}{% empty bad %}{% endempty %}
      {% sparkline values label=bad %}{% meter 1 2 label=bad %}"""
    assert "<b" not in render(source, bad=bad, values=[1])


def test_a_status_says_its_word_beside_its_colour() -> None:
    assert render('{% status "generated" "To review" %}').endswith("To review</span>")
    assert 'class="status failed"' in render('{% status "rejected" %}')
    assert 'class="status off"' in render('{% status "unheard_of" %}')


def test_a_diff_marks_the_words_that_changed() -> None:
    html = render("{% diff old new %}", old="Be brief.\nNever lie.", new="Be kind.\nNever lie.")
    assert html == '<div class="diff">Be <del>brief</del><ins>kind</ins>.\nNever lie.</div>'


# Forms ---------------------------------------------------------------------------------------------------------


class Sample(forms.Form):
    name = forms.CharField(help_text="How people call it.")
    key = forms.CharField(required=False)
    agreed = forms.BooleanField()
    way = forms.ChoiceField(choices=[("a", "A"), ("b", "B")], widget=forms.RadioSelect)
    file = forms.FileField(required=False)
    token = forms.CharField(widget=forms.HiddenInput, required=False)

    def clean(self) -> None:
        raise forms.ValidationError("The two do not fit: change one.")


def test_a_field_is_tied_to_its_help_and_its_error() -> None:
    html = render("{% field form.name %}", form=Sample({}))
    described = re.search(r'aria-describedby="([^"]+)"', html)
    assert described
    for part in described[1].split():
        assert f'id="{part}"' in html
    assert "This field is required." in html
    assert 'aria-invalid="true"' in html


def test_help_given_in_the_template_is_tied_too() -> None:
    html = render("{% field form.key help=help %}", form=Sample(), help="Kept <b>safe</b>.")
    assert 'aria-describedby="id_key_helptext"' in html
    assert "Kept &lt;b&gt;safe&lt;/b&gt;." in html
    assert "optional" in html


def test_a_choice_without_an_empty_line_is_not_called_optional() -> None:
    class Choices(forms.Form):
        product = forms.ChoiceField(choices=[("dialogs", "Dialogs"), ("rows", "Rows")], required=False)
        corpus = forms.ChoiceField(choices=[("", "None"), ("1", "Handbook")], required=False)

    assert "optional" not in render("{% field form.product %}", form=Choices())
    assert "optional" in render("{% field form.corpus %}", form=Choices())


def test_every_kind_of_field_has_a_label_or_a_legend() -> None:
    html = render("{% fields form %}", form=Sample())
    assert html.count("<label for=") == 6  # name, key, agreed, file, and one for each way
    assert "<legend>Way</legend>" in html
    assert 'class="drop"' in html
    assert html.count('name="token"') == 1


def test_the_errors_of_a_form_lead_to_its_fields() -> None:
    html = render("{% form_errors form %}", form=Sample({"name": "x"}))
    assert "The two do not fit: change one." in html
    assert '<a href="#id_agreed">Agreed</a>' in html


def test_a_correct_form_shows_no_banner() -> None:
    assert "banner" not in render("{% form_errors form %}", form=Sample())


def test_the_rules_for_passwords_are_shown_as_a_list() -> None:
    class Change(forms.Form):
        password = forms.CharField(help_text=password_validation.password_validators_help_text_html())

    assert "<ul><li>" in render("{% field form.password %}", form=Change())


# Whole pages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["400.html", "403.html", "403_csrf.html", "404.html", "500.html", "503.html"])
def test_error_pages_need_no_request_and_no_database(name: str) -> None:
    html = engines["django"].get_template(name).render()
    assert "<h1>" in html
    assert 'href="/"' in html


@pytest.mark.parametrize("name", ["404.html", "registration/login.html"])
def test_pages_obey_the_content_security_policy(name: str) -> None:
    page = engines["django"].get_template(name)
    html = page.template.render(Context({"form": AuthenticationForm(), "request": RequestFactory().get("/")}))
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=|//cdn", html)
