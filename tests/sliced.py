"""One hub for a whole test module: people who moved in, and subscriptions of the labour office to follow them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.database import Database, run_sql
from hub.embedded import Cluster
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.settings import load_settings
from mappings.catalogue import Catalogue
from tests.conftest import clone_template
from tests.doors import Hub, founded_hub, identity_number
from tests.staged import stage

TERMS = Terms(
    purpose="户籍登记核对", legal_basis="政务数据共享条例", catalogue_no="999001/0007", scope="仅限窗口核对"
)  # fmt: skip
MOVES = SliceDefinition((SliceType("hukou_move_in", ("name", "id_no", "move_date")),), None)


@contextmanager
def sliced_hub(cluster: Cluster, catalogue: Catalogue, home: Path, name: str) -> Iterator[Hub]:
    """Every test in the module makes a subscription of its own."""
    clone_template(cluster, name)
    urls = cluster.urls(name)
    settings = load_settings(
        home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, fictitious_prefixes=("999001",),
        demo=True,
    )  # fmt: skip
    worker, served = Database(urls.worker, settings.district), Database(urls.app, settings.district)
    with founded_hub(worker, served, settings, catalogue) as hub:
        yield hub
    worker.close()
    served.close()


def move(hub: Hub, catalogue: Catalogue, first: int, last: int, **more: str) -> None:
    """People who moved in, as the line writes them behind its checks."""
    record_type = catalogue.record_types["hukou_move_in"]
    row = {"name": "王小明", "sex": "2", "move_date": "2026-11-01", "live_div": "999001001001"} | more
    with hub.worker.begin() as connection:
        submission_id = stage(
            connection, record_type, [row | {"id_no": identity_number(n)} for n in range(first, last)]
        )
        apply_staged(connection, submission_id, "public_security", record_type, catalogue)
        number_changes(connection, submission_id)


def subscribe(
    hub: Hub, catalogue: Catalogue, code: str, definition: SliceDefinition = MOVES, *, organisation: str = "labour",
    start_seq: int = 0,
) -> str:  # fmt: skip
    with hub.worker.begin() as connection:
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue, code=code, organisation=organisation, title=f"切片{code}",
            definition=definition, terms=TERMS, start_seq=start_seq,
        )  # fmt: skip
    return code


def head_of(hub: Hub) -> int:
    with hub.worker.begin() as connection:
        return int(str(run_sql(connection, "SELECT last_seq FROM {d}.feed_head")[0][0]))
