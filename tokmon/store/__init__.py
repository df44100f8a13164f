"""Files: logs of JSON lines, small JSON files, locks, the spool, and the saved state.

Import what you need from the modules. `atomic`, `fingerprint`, `opener` and `reader` need the standard library alone;
`codec` needs `orjson`, `lock` and `log` need `filelock`.
"""
