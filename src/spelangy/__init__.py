"""spelangy: crawled audio and web text in, a scored speech language model out.

Data flows top to bottom through the rooms of this package: `core`, `store` and `engine` carry it, `backends` measure
it, `curate`, `synth` and `tokens` shape it, `train` and `evals` use it, `recipe` and `study` string runs together,
`report` shows them and `cli` is the way in. docs/architecture.md has the map.
"""

__version__ = "0.1.0"
