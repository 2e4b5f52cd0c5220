"""One line of the campaign's table: how often something was broken on purpose, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Tally:
    """One line of the table."""

    fault: str
    kills: int = 0
    trials: int = 0
    damaged: list[str] = field(default_factory=list)
    recovery: list[float] = field(default_factory=list)

    def line(self) -> str:
        slow = sorted(self.recovery) or [0.0]
        percentile = [slow[min(int(len(slow) * share), len(slow) - 1)] for share in (0.5, 0.95)]
        bound = f"< {300 / self.kills:.2f} %" if self.kills > 3 and not self.damaged else "-"
        times = " / ".join(f"{seconds:.2f}" for seconds in (*percentile, slow[-1]))
        return f"| {self.fault} | {self.trials} | {self.kills} | {len(self.damaged)} | {bound} | {times} |"
