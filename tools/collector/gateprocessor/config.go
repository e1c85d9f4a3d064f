package gateprocessor

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Config is the processor's configuration.
type Config struct {
	// Drain configures how long a stop waits for queued data.
	Drain DrainConfig `mapstructure:"drain"`
}

// DrainConfig configures what a stop waits for, and for how long.
type DrainConfig struct {
	// Timeout is the maximum time that a stop waits, for all pipelines together. With 0, a stop does not wait.
	Timeout time.Duration `mapstructure:"timeout"`
	// Metrics is the URL of this process's own metrics in the Prometheus text format. There is no other way to read
	// the size of an exporter's queue.
	Metrics string `mapstructure:"metrics"`
	// UntilZero names the gauges to wait for: every series of each gauge must be 0. The size of a queue includes the
	// batches that are being sent, until they are delivered.
	UntilZero []string `mapstructure:"until_zero"`
	// For is how long the gauges must stay at 0. It must be longer than the slowest gauge's update interval.
	For time.Duration `mapstructure:"for"`
}

func defaultConfig() *Config {
	return &Config{Drain: DrainConfig{
		Metrics:   "http://127.0.0.1:8888/metrics",
		UntilZero: []string{"otelcol_exporter_queue_size"},
	}}
}

// Validate returns an error for each unusable value. The error says which values are valid.
func (c *DrainConfig) Validate() error {
	var errs []error
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("timeout is %v: use 0s, which disables the wait, or a positive duration", c.Timeout))
	}
	if c.For < 0 || c.For > c.Timeout && c.Timeout > 0 {
		errs = append(errs, fmt.Errorf("`for` is %v: use a duration between 0s and the timeout, %v", c.For, c.Timeout))
	}
	if u, err := url.Parse(c.Metrics); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, fmt.Errorf("metrics is %q: use a URL such as http://127.0.0.1:8888/metrics", c.Metrics))
	}
	if len(c.UntilZero) == 0 {
		errs = append(errs, errors.New("until_zero is empty: name at least one gauge, such as otelcol_exporter_queue_size"))
	}
	return errors.Join(errs...)
}
