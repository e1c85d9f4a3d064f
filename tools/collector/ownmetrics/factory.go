package ownmetrics

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
)

// Type is the receiver's name in a configuration file.
var Type = component.MustNewType("sightline_own_metrics")

// NewFactory returns the receiver's factory.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(
		Type,
		func() component.Config { return defaultConfig() },
		receiver.WithMetrics(create, component.StabilityLevelStable),
	)
}

func create(
	_ context.Context, set receiver.Settings, config component.Config, next consumer.Metrics,
) (receiver.Metrics, error) {
	return newReader(config.(*Config), set, next), nil
}
