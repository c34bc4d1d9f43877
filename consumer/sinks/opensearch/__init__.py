"""The OpenSearch sink: `sink.OpensearchSink`."""
