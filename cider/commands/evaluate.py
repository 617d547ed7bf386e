from __future__ import annotations

import click


@click.command()
def evaluate() -> None:
    """Later."""
