"""Kill -9 in the midst of asking a server: no answer that arrived is paid for a second time."""

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from chat_server import ChatServer, told
from spelangy.core.records import LlmAnswer, Script
from spelangy.core.schema import from_table
from spelangy.recipe.load import load_recipe
from spelangy.recipe.path import synthesis_pipeline
from spelangy.store.objects import Store

pytest.importorskip("openai")

NUM_PAGES, CONCURRENCY = 60, 4
WORDS = ("granite", "copper", "lantern", "harbour", "winter", "bread", "sailor", "island", "stone", "tower")


def paragraph(page: int, place: int) -> str:
    middle = " ".join(WORDS[(page * 7 + place * 3 + step) % len(WORDS)] for step in range(4))
    return f"The keeper of light number {page} {place} wrote of {middle} and slept before the morning came again."


def recipe_file(folder: Path, url: str) -> Path:
    pages = [
        {"url": f"https://example.org/{n}", "text": "\n\n".join(paragraph(n, place) for place in range(4))}
        for n in range(NUM_PAGES)
    ]
    (folder / "pages.jsonl").write_text("".join(json.dumps(page) + "\n" for page in pages))
    recipe = folder / "paid.toml"
    recipe.write_text(
        f"""
        [synth]
        pages = ["{folder}/pages.jsonl"]
        [synth.select]
        classifier = "words"
        [synth.krist.llm]
        name = "openai"
        options = {{ model = "m", base_url = "{url}", concurrency = {CONCURRENCY}, prompt_price = 1.0 }}
        """
    )
    return recipe


def start(folder: Path, recipe: Path) -> "subprocess.Popen[bytes]":
    script = f"""
        from pathlib import Path
        from spelangy.engine.daft_runner import RunnerSettings
        from spelangy.engine.progress import StepProgress
        from spelangy.recipe.load import load_recipe
        from spelangy.recipe.path import synthesis_pipeline
        from spelangy.store.objects import Store
        store = Store({str(folder / "store")!r})
        pipeline = synthesis_pipeline(load_recipe(Path({str(recipe)!r})), store, ("krist",)).upto("krist")
        pipeline.run(store, RunnerSettings(), StepProgress(quiet=True))
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], start_new_session=True)


@pytest.mark.timeout(180)
def test_no_answer_is_paid_twice_however_often_the_run_is_killed(tmp_path: Path) -> None:
    num_asked = 4 * NUM_PAGES
    with ChatServer(lambda body: (200, told(body)), delay_s=0.01) as server:
        recipe = recipe_file(tmp_path, server.url)
        kills = 0
        for goal in (num_asked // 4, num_asked // 2):
            process = start(tmp_path, recipe)
            while process.poll() is None and server.delivered.total() < goal:
                time.sleep(0.005)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait(30)
        assert kills == 2, "the run ended before it could be killed"
        assert start(tmp_path, recipe).wait(120) == 0
    assert len(server.delivered) == num_asked
    # What was on its way when the process died never reached it: at most what was in flight, each time.
    assert server.delivered.total() <= num_asked + kills * CONCURRENCY
    store = Store(tmp_path / "store")
    pipeline = synthesis_pipeline(load_recipe(recipe), store, ("krist",)).upto("krist")
    (krist,) = (step.key for step in pipeline.plan(store) if step.step == "krist")
    answers = from_table(store.table(krist, "answers"), LlmAnswer)
    assert len(answers) == num_asked and all(answer.is_taken for answer in answers)
    assert {script.method for script in from_table(store.table(krist, "scripts"), Script)} == {"llm"}
    stored = store.find(krist)
    assert stored is not None and stored.circumstances["llm_prompt_tokens"] == 20 * num_asked
    assert stored.circumstances["llm_cost"] == pytest.approx(20 * num_asked / 1e6)
