// Package gateprocessor implements sightline_gate, a processor that protects a pipeline while the Collector starts and
// stops.
//
//   - At the start, the OTLP receiver opens its port as soon as its first pipeline is running. Data for another
//     pipeline whose exporter has no queue yet crashes the Collector
//     (https://github.com/open-telemetry/opentelemetry-collector/issues/15485). The gate rejects data with a
//     retryable error until everything behind it has started.
//   - At a stop, the Collector stops receivers first, then processors, then exporters. An exporter with a queue on
//     disk leaves unsent data there. In a pod, the disk can be removed together with the pod, and the data is lost.
//     An exporter with a queue in memory sends its data once and does not retry. The gate delays the stop of the
//     exporters until the queues are empty or its timeout is over.
//
// The gate is a processor because processors stop after receivers and before exporters. An extension is notified
// before receivers close. If it delayed the stop, senders would stay connected to a process that accepts no data,
// instead of connecting to another one.
package gateprocessor
