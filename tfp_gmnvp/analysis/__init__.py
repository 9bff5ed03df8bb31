"""Analysis with fitted flows: criteria, model selection, outliers and calibration."""
