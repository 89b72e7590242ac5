"""`publish completion`."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    r"""Print the script that lets SHELL complete commands, options, references and receipts.

    \b
    source <(publish completion bash)
    publish completion zsh > ~/.zfunc/_publish
    publish completion fish > ~/.config/fish/completions/publish.fish
    """
    from click.shell_completion import get_completion_class

    from publisher.cli.completing import register
    from publisher.cli.program import program
    from publisher.cli.rendering import show_text

    register()
    completion_class = get_completion_class(shell)
    if completion_class is None:  # pragma: no cover - the choice above names click's own
        raise click.UsageError(f"click completes nothing in {shell}")
    # click's own source() would ask bash for its version first, which a machine that has none can't tell.
    script = completion_class(program, {}, "publish", "_PUBLISH_COMPLETE")
    show_text(script.source_template % script.source_vars() + "\n")
