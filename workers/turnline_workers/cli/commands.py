"""Every command, in the order in which a newcomer meets them."""

import typer

from turnline_workers.cli.demo import demo
from turnline_workers.cli.enqueue import cancel, send
from turnline_workers.cli.inspect import sessions, verify
from turnline_workers.cli.operate import migrate, worker
from turnline_workers.cli.resume import resume
from turnline_workers.cli.show import show
from turnline_workers.cli.show_events import follow_session
from turnline_workers.cli.up import up

app = typer.Typer(
    name="turnline",
    help="Conversations on a message queue: every turn once, in order, followed live.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.command()(up)
app.command()(demo)
app.command()(send)
app.command("follow")(follow_session)
app.command()(cancel)
app.command()(resume)
app.command()(sessions)
app.command()(show)
app.command()(verify)
app.command()(migrate)
app.command()(worker)
