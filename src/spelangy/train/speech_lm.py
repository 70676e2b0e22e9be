"""A trained model folder as one object: sound or text in, text or units out."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from transformers import LlamaForCausalLM

from spelangy.backends.protocols import Audio, SpeechTokenizer
from spelangy.core.errors import UserError
from spelangy.core.plugins import find_backend
from spelangy.tokens.text_tokenizer import TextTokenizer
from spelangy.tokens.vocabulary import Vocabulary
from spelangy.train.generate import Modality, generate
from spelangy.train.model import load_model
from spelangy.train.step import LAYOUT_FILE, SPEECH_TOKENIZER_FOLDER


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the model went on to say: `text` or `units`, by the modality asked for."""

    text: str
    units: tuple[int, ...]
    stopped_by: str


@dataclass(frozen=True, kw_only=True)
class SpeechLM:
    """A model, its vocabulary and both tokenizers. Made by `SpeechLM.load`."""

    model: LlamaForCausalLM
    vocabulary: Vocabulary
    text_tokenizer: TextTokenizer
    speech_tokenizer: SpeechTokenizer

    @classmethod
    def load(cls, directory: Path) -> "SpeechLM":
        """Reads a folder that ``spelangy train`` made.

        Raises:
            UserError: When it is not one.
        """
        try:
            layout = json.loads((directory / LAYOUT_FILE).read_text())
        except (OSError, ValueError) as error:
            raise UserError(
                f"{directory} is no speech LM: {error}", hint="`spelangy train RECIPE` prints one"
            ) from error
        kind = find_backend("speech-tokenizer", layout["speech_tokenizer"]).load()
        return cls(
            model=load_model(directory),
            vocabulary=Vocabulary.from_manifest(layout["vocabulary"]),
            text_tokenizer=TextTokenizer.load(directory),
            speech_tokenizer=kind.load(directory / SPEECH_TOKENIZER_FOLDER),
        )

    def units(self, audio_S: Audio) -> NDArray[np.uint16]:
        """Speech units of a recording, 12.5 a second."""
        return self.speech_tokenizer.encode(audio_S)

    def prompt(self, *, text: str | None, audio_S: Audio | None, to: Modality) -> NDArray[np.int32]:
        """Prompt ids as in training: the modality's switch token, the content, the switch to `to` where it differs."""
        given: Modality = "speech" if audio_S is not None else "text"
        if audio_S is not None:
            content = self.vocabulary.speech_id(self.units(audio_S))
        else:
            content = self.text_tokenizer.encode(f" {text}").astype(np.int32)
        switch = [] if given == to else [self._switch(to)]
        return np.concatenate([[self._switch(given)], content, switch]).astype(np.int32)

    def _switch(self, modality: Modality) -> int:
        return self.vocabulary.to_speech if modality == "speech" else self.vocabulary.to_text

    def continue_prompt(
        self, *, text: str | None = None, audio_S: Audio | None = None, to: Modality = "text", max_tokens: int
    ) -> Answer:
        """Greedy continuation of a text or of a recording in one modality."""
        prompt = self.prompt(text=text, audio_S=audio_S, to=to)
        found = generate(self.model, self.vocabulary, prompt, modality=to, max_tokens=max_tokens)
        if to == "text":
            return Answer(text=self.text_tokenizer.decode(found.ids), units=(), stopped_by=found.stopped_by)
        units = tuple((found.ids - self.vocabulary.first_speech_id).tolist())
        return Answer(text="", units=units, stopped_by=found.stopped_by)
