"""Wire formats: how values become bodies of requests, and how replies become values.

Bodies have two formats for vectors, JSON (`documents`, `bodies`) and octets (`octets`), and two for
state dicts, JSON (`state_dict_json`) and safetensors (`state_dict_file`). Nothing here does I/O.
"""
