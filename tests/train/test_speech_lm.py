"""A trained folder as one object: text or sound in, text or units out."""

from pathlib import Path

import numpy as np
import pytest

from spelangy.backends.protocols import Audio
from spelangy.core.errors import UserError
from spelangy.core.records import Chunk, Units
from spelangy.evals.multiple_choice import Contexts
from spelangy.train.generate import Modality
from spelangy.train.speech_lm import SpeechLM
from tiny_run import TinyRun

TEXT = "The lamp of the lighthouse"


@pytest.fixture(scope="module")
def lm(tiny: TinyRun) -> SpeechLM:
    return SpeechLM.load(tiny.model)


@pytest.fixture(scope="module")
def sound(tiny: TinyRun) -> Audio:
    chunk = tiny.records("speech", "chunks", Chunk)[0]
    return tiny.store.audio.read(chunk.audio, chunk.span)


@pytest.mark.parametrize("to", ["text", "speech"])
@pytest.mark.parametrize("given", ["text", "speech"])
def test_goes_on_from_either_modality_in_either(lm: SpeechLM, sound: Audio, given: Modality, to: Modality) -> None:
    prompt = {"text": TEXT if given == "text" else None, "audio_S": sound if given == "speech" else None}
    first, again = (lm.continue_prompt(**prompt, to=to, max_tokens=6) for _ in range(2))  # type: ignore[arg-type]
    assert first == again
    assert first.stopped_by in ("end", "switch", "max_tokens")
    if to == "text":
        assert first.units == () and (first.text or first.stopped_by != "max_tokens")
    else:
        assert first.text == "" and all(0 <= unit < lm.vocabulary.codebook_size for unit in first.units)
        assert len(first.units) == 6 or first.stopped_by != "max_tokens"


def test_a_prompt_is_laid_out_as_in_training_and_in_evaluation(lm: SpeechLM, sound: Audio) -> None:
    contexts, units = Contexts(lm.vocabulary, lm.text_tokenizer), lm.units(sound)
    assert lm.prompt(text=None, audio_S=sound, to="text").tolist() == contexts.spoken(units.tolist()).tolist()
    assert lm.prompt(text=TEXT, audio_S=None, to="text").tolist() == contexts.written(TEXT).tolist()
    switched = lm.prompt(text=TEXT, audio_S=None, to="speech").tolist()
    assert switched == [*contexts.written(TEXT).tolist(), lm.vocabulary.to_speech]
    assert lm.prompt(text=None, audio_S=sound, to="speech")[0] == lm.vocabulary.to_speech
    assert lm.prompt(text=None, audio_S=sound, to="speech").size == units.size + 1


def test_hears_the_units_that_it_was_trained_on(tiny: TinyRun, lm: SpeechLM) -> None:
    row = next(row for row in tiny.records("question-units", "units", Units))
    audio = {turn.recording_id: turn.audio for turn in tiny.records("question-speech", "chunks", Chunk)}
    assert lm.units(tiny.store.audio.read(audio[row.recording_id])).tolist() == list(row.units)


def test_no_sound_is_no_unit(lm: SpeechLM) -> None:
    assert lm.units(np.zeros(0, np.float32)).size == 0


def test_a_folder_that_is_no_speech_lm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no speech LM"):
        SpeechLM.load(tmp_path)
