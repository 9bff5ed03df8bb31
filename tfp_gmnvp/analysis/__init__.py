"""What a fitted flow says of data: criteria, selection, outliers, calibration, summaries."""
