"""Everybody on the last day of the month: many files at the same moment, through every door."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import delete, select

from hub.embedded import Cluster
from hub.tables import submission
from mappings.catalogue import Catalogue
from tests.faults.crowd import Crowd, wrong_in_a_crowd
from tests.sftp_door import standing_door

SENDERS = 20  # 200 in `make faults`


def test_twenty_files_at_once_through_mixed_doors_have_each_their_receipt(
    cluster: Cluster, catalogue: Catalogue, tmp_path: Path
) -> None:
    with standing_door(cluster, tmp_path, catalogue, sessions=SENDERS, sessions_of_one=SENDERS) as door:
        assert wrong_in_a_crowd(door, catalogue, SENDERS) == []
        crowd = Crowd(door, catalogue, SENDERS)
        with door.worker.begin() as connection:  # the judge sees a file that was lost
            lost = connection.scalar(select(submission.c.submission_id).limit(1))
            connection.execute(delete(submission).where(submission.c.submission_id == lost))
        assert len(crowd.judge()) == 2
