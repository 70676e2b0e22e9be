"""Out of the store into other tools' formats, and in again. Times are exact to the sample in all of them.

            out                  in                       one module a format
hf          ✓ load_dataset       ✓ Parquet                hugging_face
hf-disk     ✓ load_from_disk     ✓ Arrow stream
lhotse      ✓ CutSet             ✓ MonoCut                lhotse_cuts
shar        ✓ CutSet.from_shar   ✓
nemo        ✓ manifest           ✓                        manifests
nemo-tar    ✓ tarred             ✓
webdataset  ✓ flac + json + txt  ✓ and any key.<audio>    web_dataset
jsonl       ✓ the store's own    ✓
rttm        ✓ turns              ✓                        labels
ctm         ✓ words              ✓
textgrid    ✓ words + chunks     ✓                        text_grid
vtt         ✓ captions (ms)      ✓                        captions
whisperx                         ✓                        asr_json
emilia                           ✓
"""

from spelangy.store.exchange.exporting import EXPORTS, export, export_stored
from spelangy.store.exchange.importing import IMPORTS, Imported, ImportRequest, import_data, known_recordings

__all__ = [
    "EXPORTS",
    "IMPORTS",
    "ImportRequest",
    "Imported",
    "export",
    "export_stored",
    "import_data",
    "known_recordings",
]
