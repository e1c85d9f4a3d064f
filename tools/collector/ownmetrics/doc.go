// Package ownmetrics implements sightline_own_metrics, a receiver that reads the metrics of its own process and passes
// them through a pipeline.
//
// The Collector can also send its metrics over OTLP itself (service.telemetry.metrics.readers). This receiver does what
// that does not do:
//
//   - The Collector sends its last metrics after its receivers and exporters have stopped. If nobody accepts them, the
//     Collector exits with an error. This receiver passes them on while it stops, so they are in the queue of the exporter
//     before the exporter stops.
//   - The Collector reads its client certificate once, so the metrics end when that certificate expires. This receiver
//     needs no connection. The metrics leave the process through an exporter, with its certificate, queue and retries.
//   - The limit of Go's memory is not among the metrics of the Collector. This receiver adds it.
package ownmetrics
