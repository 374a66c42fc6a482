"""TrainingSet → token ids, example by example: documents are read, cut into examples, drawn, and dealt into shards."""
