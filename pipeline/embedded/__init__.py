"""One file per target without Python, named as in params.yaml: `FORMAT`, the exported file it is made from, and `write`.

`write(folder, model) -> dict` fills the folder with all that goes there and returns what was measured of it, for the report and
the model card. Where the model cannot go there it raises UserError: one sentence that names the cure. `time(folder, model) -> dict`,
where there is one, adds how long an image takes, once the machine is at rest. Files in other languages lie as they are in a folder
beside the module; what depends on the model is generated.
"""
