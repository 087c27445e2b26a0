"""Calibration, fake-quantize and conversion to the integer model."""
