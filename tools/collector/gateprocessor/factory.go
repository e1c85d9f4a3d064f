package gateprocessor

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"
)

// Type is the processor's name in a configuration file.
var Type = component.MustNewType("sightline_gate")

// NewFactory returns the processor's factory.
func NewFactory() processor.Factory {
	f := &factory{drains: map[component.Config]*drain{}}
	return processor.NewFactory(
		Type,
		func() component.Config { return defaultConfig() },
		processor.WithTraces(f.traces, component.StabilityLevelStable),
		processor.WithMetrics(f.metrics, component.StabilityLevelStable),
		processor.WithLogs(f.logs, component.StabilityLevelStable),
	)
}

// factory creates gates. Each pipeline has its own gate. Gates with the same configuration share one drain, so the same
// timeout applies to all of them.
type factory struct {
	mu     sync.Mutex
	drains map[component.Config]*drain
}

func (f *factory) gate(set processor.Settings, config component.Config) (*gate, []processorhelper.Option) {
	f.mu.Lock()
	defer f.mu.Unlock()
	shared, ok := f.drains[config]
	if !ok {
		shared = newDrain(config.(*Config).Drain, set.Logger)
		f.drains[config] = shared
	}
	g := &gate{drain: shared}
	return g, []processorhelper.Option{
		processorhelper.WithStart(g.start),
		processorhelper.WithShutdown(g.shutdown),
		processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
	}
}

func (f *factory) traces(
	ctx context.Context, set processor.Settings, config component.Config, next consumer.Traces,
) (processor.Traces, error) {
	g, options := f.gate(set, config)
	pass := func(_ context.Context, data ptrace.Traces) (ptrace.Traces, error) { return data, g.pass() }
	return processorhelper.NewTraces(ctx, set, config, next, pass, options...)
}

func (f *factory) metrics(
	ctx context.Context, set processor.Settings, config component.Config, next consumer.Metrics,
) (processor.Metrics, error) {
	g, options := f.gate(set, config)
	pass := func(_ context.Context, data pmetric.Metrics) (pmetric.Metrics, error) { return data, g.pass() }
	return processorhelper.NewMetrics(ctx, set, config, next, pass, options...)
}

func (f *factory) logs(
	ctx context.Context, set processor.Settings, config component.Config, next consumer.Logs,
) (processor.Logs, error) {
	g, options := f.gate(set, config)
	pass := func(_ context.Context, data plog.Logs) (plog.Logs, error) { return data, g.pass() }
	return processorhelper.NewLogs(ctx, set, config, next, pass, options...)
}
