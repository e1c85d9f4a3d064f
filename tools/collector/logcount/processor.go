// Package logcount implements sightline_log_count, a processor that counts log records by service and level.
//
// The counter is one of the Collector's own metrics, sightline_log_records. It needs no pipeline of its own, and it is
// cumulative. The count connector of the Collector exports differences, which a store with Prometheus' rules cannot add up.
package logcount

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Type is the processor's name in a configuration file.
var Type = component.MustNewType("sightline_log_count")

// Config is the processor's configuration, which has no settings.
type Config struct{}

// NewFactory returns the processor's factory.
func NewFactory() processor.Factory {
	return processor.NewFactory(
		Type,
		func() component.Config { return &Config{} },
		processor.WithLogs(create, component.StabilityLevelStable),
	)
}

func create(
	ctx context.Context, set processor.Settings, config component.Config, next consumer.Logs,
) (processor.Logs, error) {
	counter, err := set.MeterProvider.Meter(Type.String()).Int64Counter(
		"sightline_log_records",
		metric.WithUnit("{record}"),
		metric.WithDescription("The number of log records that passed the gateway, by service and level."),
	)
	if err != nil {
		return nil, err
	}
	count := func(ctx context.Context, data plog.Logs) (plog.Logs, error) {
		add(ctx, counter, data)
		return data, nil
	}
	return processorhelper.NewLogs(
		ctx, set, config, next, count, processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
	)
}

// key identifies a series. The label is not service.name, because that is the name of the Collector, which counts.
type key struct{ service, level string }

func add(ctx context.Context, counter metric.Int64Counter, data plog.Logs) {
	counts := map[key]int64{}
	for _, group := range data.ResourceLogs().All() {
		service := ""
		// A sender may leave the name out. AsString of the value that Get then returns would crash.
		if name, ok := group.Resource().Attributes().Get("service.name"); ok {
			service = name.AsString()
		}
		for _, scope := range group.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				counts[key{service, level(record.SeverityNumber())}]++
			}
		}
	}
	for key, count := range counts {
		counter.Add(ctx, count, metric.WithAttributes(
			attribute.String("log_service", key.service), attribute.String("level", key.level),
		))
	}
}

// level returns the name of a range of severities in OpenTelemetry's data model for logs.
func level(severity plog.SeverityNumber) string {
	names := []string{"trace", "debug", "info", "warn", "error", "fatal"}
	if severity < 1 || int(severity) > 4*len(names) {
		return "unspecified"
	}
	return names[(severity-1)/4]
}
