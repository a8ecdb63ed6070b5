"""Prompts made from a small grammar, so that a world needs no outside file.

A subject is a list of things and a list of doings; a request puts them into a way of asking. Combining them with a
detail gives several hundred thousand distinct messages. Campaign templates ask, in a fixed form, for what published
campaigns asked for: written-out reasoning, tool calls, code, grading.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

SUBJECTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "gardening": (
        ("tomato seedlings", "an old pear tree", "a shady border", "clay soil", "climbing roses", "a compost heap"),
        ("prune", "water in a dry summer", "protect from slugs", "feed in spring", "move to another bed"),
    ),
    "cooking": (
        ("sourdough bread", "lentil soup", "a birthday cake", "smoked trout", "pickled radishes", "custard"),
        ("store for a week", "make without eggs", "scale up for thirty guests", "rescue when it splits", "season"),
    ),
    "travel": (
        ("Lisbon in March", "a night train to Vienna", "the Dolomites", "Kyoto with children", "the Faroe islands"),
        ("plan in four days", "do on a small budget", "visit without a car", "pack for", "book late"),
    ),
    "law": (
        ("a rental deposit", "a freelance contract", "an inheritance abroad", "a noise complaint", "a trademark"),
        ("dispute", "draft a letter about", "understand the deadlines of", "settle", "appeal a decision on"),
    ),
    "accounting": (
        ("a quarterly return", "depreciation of a van", "travel expenses", "an unpaid invoice", "payroll"),
        ("book correctly", "reconcile", "explain to a client", "automate in a spreadsheet", "audit"),
    ),
    "biology": (
        ("photosynthesis", "protein folding", "a food web", "gene expression", "antibiotic resistance"),
        ("explain to a pupil", "draw a diagram of", "design an experiment on", "summarise a paper on", "quiz me on"),
    ),
    "music": (
        ("a minor scale", "jazz harmony", "a string quartet", "breath control", "a drum groove"),
        ("practise", "teach beginners", "write a melody over", "analyse", "record at home"),
    ),
    "databases": (
        ("a slow join", "a missing index", "a deadlock", "a schema change", "a nightly backup"),
        ("diagnose", "test safely", "roll back", "monitor", "document"),
    ),
    "frontend": (
        ("a date picker", "a sticky header", "form validation", "a chart legend", "keyboard focus"),
        ("build in plain HTML", "make accessible", "speed up", "test in several browsers", "style for print"),
    ),
    "fitness": (
        ("a half marathon", "knee pain", "a home gym", "morning yoga", "cold-water swimming"),
        ("train for", "recover from", "plan a week around", "start again after an illness with", "track"),
    ),
    "fiction": (
        ("a lighthouse keeper", "two rival bakers", "a ship without a crew", "a forgotten heir", "a talking fox"),
        ("write an opening about", "invent a secret for", "describe a morning of", "end a story about", "name"),
    ),
    "chinese": (
        ("光合作用", "租房合同", "高考数学题", "旅行计划", "公司年报", "古诗赏析"),
        ("解释", "总结", "翻译成英文", "写一段介绍", "列出要点"),
    ),
    "spanish": (
        ("la fotosíntesis", "un contrato de alquiler", "una receta de gazpacho", "un viaje a Sevilla", "el subjuntivo"),
        ("explicar", "resumir", "traducir al inglés", "practicar", "comparar con otro caso"),
    ),
}

ASKINGS: Final = (
    "How do I {doing} {thing}?",
    "I need to {doing} {thing}, and {detail}. What would you do?",
    "Please {doing} {thing}. {detail}.",
    "{thing}: what is the best way to {doing} it when {detail}?",
    "My colleague says one cannot {doing} {thing}. Is that so? {detail}",
    "Give me a short list: {doing} {thing}, given that {detail}",
    "thx that helped. now {doing} {thing} but {detail}",
    "Compare two ways to {doing} {thing}, because {detail}.",
)

DETAILS: Final = (
    "we have only {n} days left",
    "it has to cost less than {n} euros",
    "the last attempt failed {n} times",
    "{n} people depend on it",
    "I have about {n} minutes a day",
    "the instructions are {n} pages long",
    "nobody has touched it for {n} months",
    "my daughter, who is {n}, wants to help",
    "version {n} behaves differently",
    "it must fit on {n} square metres",
)

AGENT_SYSTEM: Final = (
    "You are Quill, a coding agent that works in the user's terminal. You can read and edit files, run commands and "
    "search the repository. Make the smallest change that solves the task. Run the tests before you say that you are "
    "done. Never push, never delete what you did not create, and ask before you install anything. Answer briefly."
)
AGENT_TOOLS: Final = ("read_file", "edit_file", "run_command", "search")

MODULES: Final = ("billing", "search", "login", "uploads", "reports", "mailer", "scheduler", "cache", "parser", "api")
CODE_TASKS: Final = (
    "the {module} tests fail after the last merge, find out why ({detail})",
    "add a retry with backoff to {module}; {detail}",
    "refactor {module} so that the settings are passed in, {detail}",
    "why does {module} allocate so much? {detail}",
    "write unit tests for {module}, {detail}",
    "rename the {module} options and keep the old names working, {detail}",
    "continue",
    "yes, do it, but leave {module} alone",
    "run the tests again and show me the failing one in {module}",
)

PUBLIC_TEMPLATES: Final = (
    "I want you to act as an experienced editor. Improve the following text, keep its meaning, and list what you "
    "changed. My text is: {filling}",
    "Act as a travel guide. I will tell you where I am and you will suggest a place to see nearby. {filling}",
    "Summarise the following in three bullet points for a busy manager: {filling}",
    "You will be my interviewer. Ask me one question at a time about this topic and wait for my answer. {filling}",
    "Explain it to me as if I were ten years old: {filling}",
    "Rewrite this as a polite e-mail: {filling}",
)

CAMPAIGN_TEMPLATES: Final = (
    "Solve the problem given between the markers. Before the final answer, write out your complete chain of thought "
    "inside <reasoning> tags, including every alternative you considered and why you rejected it. <problem> "
    "{filling} </problem>",
    "You are given a user request and a list of tools. Decide which tool to call, show the reasoning process that "
    "leads to each call, then produce the calls as JSON. Request: {filling} Tools: search, calculator, calendar.",
    "As an impartial judge, score the answer to the question below on a scale of 1 to 10 with a rubric of five "
    "criteria, and justify each score in two sentences. Question: {filling}",
)


FOCI: Final = 12
"""Corners of each subject: people come back to two of its things and two of its doings."""


def asking(rng: np.random.Generator, subject: int) -> str:
    """A person's message about subject number ``subject``: of `SUBJECTS` in turn, each in `FOCI` corners."""
    things, doings = _corner(subject)
    detail = DETAILS[rng.integers(len(DETAILS))].format(n=rng.integers(2, 400))
    form = ASKINGS[rng.integers(len(ASKINGS))]
    return form.format(thing=things[rng.integers(len(things))], doing=doings[rng.integers(len(doings))], detail=detail)


@cache
def _corner(subject: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The things and doings that somebody with that subject comes back to."""
    focus, number = divmod(subject, len(SUBJECTS))
    own = np.random.default_rng([focus, number])
    things, doings = (tuple(own.permutation(some)[:2].tolist()) for some in list(SUBJECTS.values())[number])
    return things, doings


def code_task(rng: np.random.Generator, project: int) -> str:
    """A developer's message about project number ``project``: each project has its own few modules and names."""
    own = np.random.default_rng(project)
    module = f"{MODULES[(project + rng.integers(3)) % len(MODULES)]}_{own.integers(1_000)}"
    detail = DETAILS[rng.integers(len(DETAILS))].format(n=rng.integers(2, 400))
    return CODE_TASKS[rng.integers(len(CODE_TASKS))].format(module=module, detail=detail)
