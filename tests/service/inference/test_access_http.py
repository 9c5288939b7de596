"""Keys and limits of clients on the protocol's routes."""

from __future__ import annotations

from pathlib import Path

from tests.service.harness import MODEL, UNSERVED, ScriptedWorker, Start
from tests.service.inference.messages import assert_error, infer, picture_of
from tests.support.key_files import new_key
