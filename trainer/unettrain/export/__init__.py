"""Export of trained networks: ONNX, torch.export, and packages of the BioImage Model Zoo (bioimage.io)."""
