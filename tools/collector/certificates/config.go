package certificates

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
)

// Type is the extension's name in a configuration file.
var Type = component.MustNewType("sightline_certificates")

// Config is the extension's configuration. An empty path or address turns that part off.
type Config struct {
	// Own is the path of the process's own certificate, in PEM.
	Own string `mapstructure:"own"`
	// Key is the path of the key of Own. The extension presents both to the backend, which may require it.
	Key string `mapstructure:"key"`
	// CA is the path of the CAs that verify the other side, in PEM.
	CA string `mapstructure:"ca"`
	// Backend is the address of a TLS server, as in `endpoint` of an exporter over gRPC.
	Backend string `mapstructure:"backend"`
	// Interval is the time between two checks.
	Interval time.Duration `mapstructure:"interval"`
	// WarnDays is the number of days before the expiry from which on a warning is logged once a day. The time is at most a
	// quarter of the time for which the certificate is valid, because a certificate that is valid for a day would always be
	// reported. An expired certificate is always reported.
	WarnDays int `mapstructure:"warn_days"`
}

func defaultConfig() component.Config {
	return &Config{Interval: time.Minute, WarnDays: 7}
}

// Validate returns an error for each unusable value. The error says which values are valid.
func (c *Config) Validate() error {
	var errs []error
	if c.Interval <= 0 {
		errs = append(errs, fmt.Errorf("interval is %v: use a positive duration", c.Interval))
	}
	if c.WarnDays < 0 {
		errs = append(errs, fmt.Errorf("warn_days is %d: use a number of days, such as 7", c.WarnDays))
	}
	return errors.Join(errs...)
}

// NewFactory returns the extension's factory.
func NewFactory() extension.Factory {
	return extension.NewFactory(Type, defaultConfig, create, component.StabilityLevelStable)
}

func create(_ context.Context, set extension.Settings, config component.Config) (extension.Extension, error) {
	return &watcher{config: config.(*Config), logger: set.Logger, meters: set.MeterProvider}, nil
}
