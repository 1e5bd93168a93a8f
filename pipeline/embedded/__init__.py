"""Targets without Python: one module per target, named as in params.yaml.

Each is generated from the file that `embed.format` names. Each module defines
    write(folder, model)          fills the folder; returns what was measured, a model of
                                  pipeline.files.reports.embed; raises UserError, with the cure, if
                                  the target does not support the model
    time(folder, model) -> Time   optional: the time per image, called when the machine is idle

Files in other languages are copied from the folder beside the module. Files that depend on the
model are generated.
"""
