// Package gateprocessor is a processor that keeps a pipeline shut until it can be used, and open until it is empty.
//
//   - At the start the OTLP receiver opens its port as soon as the first of its pipelines is up. Data for another,
//     whose exporter has no queue yet, crashes the Collector
//     (https://github.com/open-telemetry/opentelemetry-collector/issues/15485). The gate answers such data with an
//     error that senders repeat, until everything behind it has started.
//   - At a stop receivers close first, then processors, then exporters. An exporter with a queue on disk leaves there
//     what it has not sent, which is the end of it where the disk goes too, as with a pod. One with a queue in memory
//     sends what it has without repeating what fails. The gate, in the middle, holds the stop until the queues are
//     empty or its time is over.
//
// It is a processor and no extension, because only a processor is in the middle: an extension is told of a stop before
// receivers close, and while it holds the stop senders stay connected to a process that takes nothing, instead of
// going to another.
package gateprocessor
