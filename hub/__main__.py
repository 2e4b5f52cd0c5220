"""The ``hub`` command."""

from __future__ import annotations

import typer

from hub.commands.accounts import account
from hub.commands.areas import area
from hub.commands.audit import audit
from hub.commands.balance import balance
from hub.commands.calendar import calendar
from hub.commands.certificates import certificates
from hub.commands.challenges import challenges
from hub.commands.channels import channels
from hub.commands.columns import columns
from hub.commands.comparisons import comparisons
from hub.commands.copy_checks import copy_checks
from hub.commands.data_catalogue import data_catalogue
from hub.commands.deciding import deciding
from hub.commands.delivering import delivering
from hub.commands.disclosures import disclosures
from hub.commands.erasing import erasing
from hub.commands.freshness import freshness
from hub.commands.held import held
from hub.commands.keeping import keeping
from hub.commands.keys import key
from hub.commands.licences import licence, subscription
from hub.commands.matching import matching
from hub.commands.notices import contacts, notices
from hub.commands.people import people
from hub.commands.people_deciding import people_deciding
from hub.commands.people_reading import people_reading
from hub.commands.profiles import profiles
from hub.commands.quality import quality
from hub.commands.reading import feed, reading
from hub.commands.rolls import rolls
from hub.commands.round_files import round_files
from hub.commands.rounds import rounds
from hub.commands.running import running
from hub.commands.sending import sending
from hub.commands.unlocking import unlocking
from hub.commands.verification import verifying
from hub.commands.workbooks import workbooks

app = typer.Typer(
    help="区级数据交换枢纽。 The district exchange hub.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode=None,
)
for verbs in (
    running,
    sending,
    deciding,
    reading,
    delivering,
    keeping,
    columns,
    unlocking,
    workbooks,
    quality,
    copy_checks,
    disclosures,
    freshness,
):
    app.add_typer(verbs)
app.add_typer(feed, name="feed")
app.add_typer(audit, name="audit")
app.add_typer(data_catalogue, name="catalogue")
app.add_typer(area, name="area")
app.add_typer(key, name="key")
app.add_typer(account, name="account")
app.add_typer(channels, name="channels")
app.add_typer(comparisons, name="compare")
app.add_typer(certificates, name="certificate")
app.add_typer(challenges, name="challenges")
app.add_typer(licence, name="licence")
app.add_typer(subscription, name="subscription")
app.add_typer(held, name="held")
app.add_typer(rolls, name="roll")
app.add_typer(notices, name="notices")
app.add_typer(contacts, name="contact")
app.add_typer(calendar, name="calendar")
rounds.add_typer(round_files)
app.add_typer(rounds, name="round")
app.add_typer(balance, name="balance")
for verbs in (profiles, people_reading, people_deciding, verifying, erasing, matching):
    people.add_typer(verbs)
app.add_typer(people, name="people")


def main() -> None:
    """Entry point of the installed command."""
    app()


if __name__ == "__main__":
    main()
