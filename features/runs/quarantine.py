"""Runs that workers have died of, carried out each by a process of its own, so that it takes no other run along."""

import os
import subprocess
import sys
from uuid import uuid4

import structlog
from django.conf import settings

from .dispatch import claim, take_back
from .execute import carry_out
from .finish import give_up

log = structlog.get_logger(__name__)


def carry_out_apart() -> None:
    """Start a process that carries out the next quarantined run, and wait for it; if it dies, say so of its run."""
    process = uuid4()
    command = [sys.executable, "-m", "django", "carry_out_quarantined"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "backend.settings", "BESPOKE_PROCESS": str(process)}
    ended = subprocess.run(command, cwd=settings.ROOT, env=environment, check=False)
    if ended.returncode == 0:
        return
    for lost in take_back(process):
        log.warning("run.quarantined_lost", run=str(lost.run_id), tenant=str(lost.tenant_id), alone=lost.alone)
        give_up(lost)


def carry_out_next() -> bool:
    """Within that process: carry the next quarantined run out. False when there is none."""
    claimed = claim(quarantined=True)
    if claimed is None:
        return False
    carry_out(claimed)
    return True
