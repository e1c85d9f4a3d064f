// Package gateprocessor implements sightline_gate, a processor that protects a pipeline while the Collector starts and
// stops.
//
//   - During a start, the OTLP receiver opens its port as soon as its first pipeline is running. If the exporter of
//     another pipeline has no queue yet, data for that pipeline crashes the Collector
//     (https://github.com/open-telemetry/opentelemetry-collector/issues/15485). Until everything behind the gate has
//     started, the gate refuses data with a retryable error.
//   - During a stop, the Collector stops receivers first, then processors, then exporters. An exporter with a queue
//     on disk leaves unsent data there. In a pod, the disk may be removed together with the pod, and the data is
//     lost. An exporter with a queue in memory sends its data once and does not retry. The gate delays the stop of
//     the exporters until the queues are empty or the timeout is over.
//
// The gate is a processor because processors stop after receivers and before exporters. The Collector notifies
// extensions of the shutdown before it closes the receivers. If an extension delayed the shutdown, senders would stay
// connected to a process that has to refuse their data so that its queues become empty.
package gateprocessor
