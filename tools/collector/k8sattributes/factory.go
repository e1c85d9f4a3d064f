// Package k8sattributes implements sightline_k8s_attributes: the k8s_attributes processor, which also starts while the API
// server is away.
//
// At its start, k8s_attributes waits for the objects of the API server (wait_for_metadata). If they do not arrive in time,
// it stops the Collector. An agent whose container restarts while the API server is away would then not run, and the
// telemetry of the node would be lost, although only the Kubernetes attributes need the API server. Without waiting, the
// first data after each start would get no attributes. This processor waits, and then starts in any case. It keeps asking
// the API server, and adds attributes from its response on.
package k8sattributes

import (
	"context"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/k8sattributesprocessor"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"
)

// Type is the processor's name in a configuration file.
var Type = component.MustNewType("sightline_k8s_attributes")

// timedOut is the error of k8s_attributes if wait_for_metadata_timeout has passed. The error has no type. The watches on
// the API server go on after it. After every other error, the Collector must not start.
const timedOut = "failed to wait for caches to sync"

// wrapped creates the processors whose start this package changes. They have its configuration.
var wrapped = k8sattributesprocessor.NewFactory()

// NewFactory returns the processor's factory. Its configuration is that of k8s_attributes.
func NewFactory() processor.Factory {
	return processor.NewFactory(
		Type,
		wrapped.CreateDefaultConfig,
		processor.WithTraces(createTraces, component.StabilityLevelStable),
		processor.WithMetrics(createMetrics, component.StabilityLevelStable),
		processor.WithLogs(createLogs, component.StabilityLevelStable),
	)
}

// settings returns the settings for the wrapped factory, which accepts only IDs of its own type.
func settings(set processor.Settings) processor.Settings {
	set.ID = component.NewIDWithName(wrapped.Type(), set.ID.Name())
	return set
}

func createTraces(
	ctx context.Context, set processor.Settings, config component.Config, next consumer.Traces,
) (processor.Traces, error) {
	inner, err := wrapped.CreateTraces(ctx, settings(set), config, next)
	return traces{inner, set.Logger}, err
}

func createMetrics(
	ctx context.Context, set processor.Settings, config component.Config, next consumer.Metrics,
) (processor.Metrics, error) {
	inner, err := wrapped.CreateMetrics(ctx, settings(set), config, next)
	return metrics{inner, set.Logger}, err
}

func createLogs(
	ctx context.Context, set processor.Settings, config component.Config, next consumer.Logs,
) (processor.Logs, error) {
	inner, err := wrapped.CreateLogs(ctx, settings(set), config, next)
	return logs{inner, set.Logger}, err
}

type traces struct {
	processor.Traces
	logger *zap.Logger
}

// Start starts the processor, if need be without the objects of the API server.
func (t traces) Start(ctx context.Context, host component.Host) error {
	return start(ctx, t.Traces, host, t.logger)
}

type metrics struct {
	processor.Metrics
	logger *zap.Logger
}

// Start starts the processor, if need be without the objects of the API server.
func (m metrics) Start(ctx context.Context, host component.Host) error {
	return start(ctx, m.Metrics, host, m.logger)
}

type logs struct {
	processor.Logs
	logger *zap.Logger
}

// Start starts the processor, if need be without the objects of the API server.
func (l logs) Start(ctx context.Context, host component.Host) error {
	return start(ctx, l.Logs, host, l.logger)
}

// quietHost hides that the host accepts reports of a component's status. k8s_attributes reports each error as fatal, and the
// Collector stops after such a report.
type quietHost struct{ component.Host }

func start(ctx context.Context, inner component.Component, host component.Host, logger *zap.Logger) error {
	err := inner.Start(ctx, quietHost{host})
	if err == nil || err.Error() != timedOut {
		return err
	}
	logger.Warn("The API server has not sent all objects. The pipeline starts without Kubernetes attributes, and adds them " +
		"when the objects arrive. If earlier lines say that something is forbidden, give the service account this permission")
	return nil
}
