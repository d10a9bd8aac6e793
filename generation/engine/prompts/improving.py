"""What an assistant is told when it is to do better."""

from __future__ import annotations

from generation.engine.protocols import ModifiedPrompt

from . import quote

_AGAIN = """\
You have answered in this conversation before, and it was not good enough. What was found wanting:
<feedback>
{feedback}
</feedback>
{rejected}
Answer anew, without these faults and keeping what was right. Never mention this note, the feedback or an earlier \
answer: the user knows nothing of them."""

_REJECTED = """
The answer to the latest message that was found wanting:
<rejected_answer>
{answer}
</rejected_answer>
"""


def again(prompt: ModifiedPrompt, feedback: str, rejected: str = "") -> ModifiedPrompt:
    """The respondent's prompt with what a judge or a person said; `rejected` is the answer that is to be replaced."""
    shown = _REJECTED.replace("{answer}", quote(rejected)) if rejected else ""
    note = _AGAIN.replace("{rejected}", shown, 1).replace("{feedback}", quote(feedback.strip()), 1)
    return ModifiedPrompt(f"{prompt.text}\n\n{note}", prompt.sources)
