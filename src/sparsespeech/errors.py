"""Every error that sparsespeech raises on purpose.

::

    SparseSpeechError
    ├── AudioError                  a recording that cannot be used
    │   ├── AudioTruncatedError     the header declares more samples than the file holds
    │   └── AudioTooLongError       longer than --max-duration
    ├── ManifestError               a manifest or corpus folder that cannot be used
    ├── SynthesisError              a speech synthesiser is missing or failed
    ├── DownloadError               a corpus archive could not be fetched or is damaged
    ├── RecipeError                 an unknown key or an impossible value in a recipe
    ├── ExchangeError               a foreign network that cannot be imported
    ├── CheckpointError             a training checkpoint that cannot be read or written
    ├── TrainingError               a run that diverged
    ├── SensitivityError            a sensitivity scan, or a total sparsity, that cannot be
    ├── ConversionError             a network that the integer arithmetic cannot hold
    │   └── NotFiniteError          an activation that is NaN or infinite
    ├── ModelFileError              a model file that is damaged or breaks a rule of format.md
    ├── UnsupportedLayerError       an executor met a layer that it does not run
    ├── AlphabetMismatchError       a language model and an acoustic model do not fit
    ├── LanguageModelError          a language model file that cannot be read
    ├── BackendError                an executor that does not exist or cannot run here
    │   └── InstructionSetError     an instruction set that the processor or the engine lacks
    ├── AcceleratorConfigError      parameters of an accelerator that cannot be
    ├── CompileError                a model that does not fit an accelerator
    │   └── NoProgramError          a model that can be mapped, but not run by a program yet
    ├── ProgramFileError            an accelerator program that is damaged or of another kind
    ├── AcceleratorError            a use of an accelerator that its state does not allow
    │   └── AcceleratorFullError    more frames or utterances than an accelerator can hold
    ├── SimulationError             an accelerator run that cannot be simulated
    ├── EngineMemoryError           an executor found no memory for a model or an utterance
    ├── InputWindowsError           feature windows of another type or width than the model's
    ├── PackedCacheError            a cache of packed weights that is damaged or of another model
    ├── BenchmarkError              a benchmark that refuses: wrong logits, or a peer that failed
    ├── ReportError                 a file given to a report that cannot be shown
    ├── SessionFinishedError        a stream was fed after its end
    └── MissingDependencyError      an extra of the package is not installed

Each message says what is wrong, where, what was found, what was expected and what to do next.
The command line prints it as one line and exits with status 2.
"""


class SparseSpeechError(Exception):
    """Base of all errors below; catch it to catch them all."""


class AudioError(SparseSpeechError):
    """A recording is missing, is not audio, is empty or holds unusable samples."""


class AudioTruncatedError(AudioError):
    """The header declares more samples than the file holds."""


class AudioTooLongError(AudioError):
    """A recording is longer than the stated limit."""


class ManifestError(SparseSpeechError):
    """A manifest line or a corpus folder is not usable."""


class SynthesisError(SparseSpeechError):
    """A speech synthesiser is missing or did not produce audio."""


class DownloadError(SparseSpeechError):
    """An archive could not be fetched, or its checksum differs."""


class RecipeError(SparseSpeechError):
    """A recipe holds an unknown key or an impossible value."""


class ExchangeError(SparseSpeechError):
    """A network of another library cannot be imported, or its description does not fit it."""


class CheckpointError(SparseSpeechError):
    """A training checkpoint cannot be read or written."""


class TrainingError(SparseSpeechError):
    """A training run diverged: loss or gradients are not finite."""


class SensitivityError(SparseSpeechError):
    """A scan belongs to another checkpoint or sample, or no allocation meets the target."""


class ConversionError(SparseSpeechError):
    """A float network does not fit the ranges of the integer arithmetic."""


class NotFiniteError(ConversionError):
    """An activation is NaN or infinite: a damaged recording, or a run that has diverged."""


class ModelFileError(SparseSpeechError):
    """A model file is damaged or breaks a rule of ``model_file/format.md``."""


class UnsupportedLayerError(SparseSpeechError):
    """An executor does not run a layer of the model."""


class AlphabetMismatchError(SparseSpeechError):
    """A language model holds symbols that the acoustic model cannot write."""


class LanguageModelError(SparseSpeechError):
    """A language model file cannot be read."""


class BackendError(SparseSpeechError):
    """An executor does not exist or cannot run on this machine."""


class InstructionSetError(BackendError):
    """An instruction set is unknown, or the processor or the engine lacks it."""


class AcceleratorConfigError(SparseSpeechError):
    """Parameters of an accelerator do not fit together, or a target does not exist."""


class CompileError(SparseSpeechError):
    """A model does not fit an accelerator: memory, an accumulator, or a link is too small."""


class NoProgramError(CompileError):
    """A model can be laid over an accelerator, but no accelerator program runs it yet."""


class ProgramFileError(SparseSpeechError):
    """An accelerator program is damaged, or belongs to another configuration."""


class AcceleratorError(SparseSpeechError):
    """An accelerator is asked for what its state does not allow: no program, no such utterance."""


class AcceleratorFullError(AcceleratorError):
    """Frames or utterances are more than the memories of an accelerator hold; none was taken."""


class SimulationError(SparseSpeechError):
    """An accelerator run cannot be simulated: no frames, too many frames, a layer that waits."""


class EngineMemoryError(SparseSpeechError, MemoryError):
    """An executor found no memory for a model or for an utterance; it stays usable."""


class InputWindowsError(SparseSpeechError, ValueError):
    """Feature windows have another type or width than the model's first layer takes."""


class PackedCacheError(SparseSpeechError):
    """A cache of packed weights is damaged or belongs to another model."""


class BenchmarkError(SparseSpeechError):
    """A benchmark refuses to report: logits differ from the reference, or a peer failed."""


class ReportError(SparseSpeechError):
    """A file given to a report cannot be read, or does not belong to the model."""


class SessionFinishedError(SparseSpeechError):
    """A stream or session was fed after it was finished."""


class MissingDependencyError(SparseSpeechError):
    """An optional dependency is not installed."""
