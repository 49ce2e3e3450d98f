"""The only rooms that hear IPython while cells run.

`recorder` turns events into records of `steps`, into the session that `keeper` keeps; `outputs`
hears what cells show and `outbox` writes it; `effects` sees what they do outside the namespace,
`environment` describes what they run in, `redact` takes secrets out before anything is written.
"""
