"""ONNX -> the plan of operations that liblrm runs on a CPU by itself (docs/ENGINE.md, "The native plan")."""
