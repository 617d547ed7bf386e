"""Jinja2 templates in which every value is escaped, for HTML or for Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mer_data.reports import formatting

_FILTERS: tuple[Callable[..., str | float | None], ...] = (
    formatting.count_of,
    formatting.measure,
    formatting.number,
    formatting.percent,
    formatting.percent_spread,
    formatting.spread,
)


def render(name: str, package: str = "mer_data.reports", **values: Any) -> str:
    """Fill in a template.

    Args:
        name: of a file in the folder "templates" of ``package``; ends in ".html.j2" or ".md.j2".
        package: where it is; templates of this package can be imported from it.
        values: what it shows. All are escaped, unless they are marked as safe.
    """
    return _environment(package, is_html=name.endswith(".html.j2")).get_template(name).render(values)


@cache
def _environment(package: str, *, is_html: bool) -> Environment:
    escape = escape_html if is_html else escape_markdown
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("mer_data.reports")]),
        autoescape=True,  # also in Markdown: results of macros are then marked as escaped already
        finalize=escape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {function.__name__: function for function in _FILTERS} | {"e": escape}
    return environment


def escape_html(value: object) -> Markup:
    """Text as HTML; what is marked as safe stays as it is."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


def escape_markdown(value: object) -> Markup:
    """Plain text as Markdown: one line, with the marks of Markdown and HTML escaped."""
    if isinstance(value, Markup):
        return value
    line = re.sub(r"[\\`*<>&|\[\]]", lambda mark: "\\" + mark.group(), " ".join(str(value).split()))
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)
    # A list, a heading or a rule only at the beginning of a line.
    line = re.sub(r"^([#+=~-]|\d+[.)](?=\s))", lambda mark: mark.group()[:-1] + "\\" + mark.group()[-1], line)
    return Markup(line)
