"""The cap of every count in a model file; ``format.md`` states the same numbers.

The reader compares with these before it allocates anything, so a forged file costs at most
:data:`FILE_BYTES` of memory for its content plus a fixed multiple of what it really holds.
"""

FILE_BYTES = 2**31  # a dense int8 DeepSpeech of hidden 2048 takes 2^28
HEADER_BYTES = 2**20
JSON_DEPTH = 16
JSON_INTEGER = 2**53 - 1  # largest magnitude that every JSON reader holds exactly
LAYERS = 64
NAME_LENGTH = 32  # characters of a layer's name
ROWS = 2**18  # four for each cell of an LSTM
COLUMNS = 2**16 - 1  # and cells; a nonzero count of a row fits uint16
LABELS = 2**12
LABEL_LENGTH = 16  # code points of one symbol
CLIP = 2.0**15
KERNEL = 255  # convolution kernel, stride and padding, each axis
CODE_BLOCKS = 2**18  # of a Huffman-coded stream: 2^28 codes
