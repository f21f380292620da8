"""Looking into results: samples of documents, histograms of what was measured, and one document's way through a run."""
