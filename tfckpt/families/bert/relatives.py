"""Models that are called like BERT and are none, and what shows it.

Source: brightmart/albert_zh modeling.py (layer_shared, word_embeddings_2); google-research/tapas models/bert/modeling.py
(token_type_embeddings_0 to 6); huawei-noah NEZHA-TensorFlow modeling.py and bojone/bert4keras models.py, for
ZhuiyiTechnology/roformer (no position_embeddings).
"""

from __future__ import annotations

from tfckpt.families.language.relatives import NoTable, OneLayer, Relative, SeveralTables, Widened

LAYER = "bert/encoder/layer_{n}/"

# fmt: off
RELATIVES = (
    Relative(OneLayer(LAYER),
             "all layers are one ({found})", "the first models of albert_zh"),
    Relative(Widened("bert/embeddings/word_embeddings"),
             "a matrix leads from the words' width to the hidden size ({found})", "models with factorized embeddings"),
    Relative(SeveralTables("bert/embeddings/token_type_embeddings"),
             "segment types have several tables ({found})", "TAPAS"),
    Relative(NoTable("bert/embeddings/position_embeddings", LAYER),
             "positions have no table ({found} is missing, and all else of the encoder is there)",
             "NEZHA, where they are relative, and RoFormer, where they are rotary"),
)
# fmt: on
