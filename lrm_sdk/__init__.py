"""Single picture -> 3D with a Large Reconstruction Model, without PyTorch.

>>> from lrm_sdk import Reconstructor            # doctest: +SKIP
>>> scene = Reconstructor("lrm-tiny.lrm").run("chair.png")    # doctest: +SKIP
>>> scene.mesh().save("chair.glb")               # doctest: +SKIP
"""
