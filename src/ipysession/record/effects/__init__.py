"""What a step does outside the namespace: files, processes, connections, environment, folder.

Python's audit hook tells; here it is heard, sieved and made plain data. What native libraries
open without Python (HDF5's and Arrow's readers, a forked child) is not heard. No IPython.
`watch` hears, `events` knows what each event means, `habits` what is not the user's doing,
`heard` gathers a step's, `files` describes what was touched.
"""

from ipysession.record.effects.files import describe_files
from ipysession.record.effects.heard import CAP
from ipysession.record.effects.hearing import quiet
from ipysession.record.effects.seen import EffectsSeen
from ipysession.record.effects.watch import EffectsWatch

__all__ = ["CAP", "EffectsSeen", "EffectsWatch", "describe_files", "quiet"]
