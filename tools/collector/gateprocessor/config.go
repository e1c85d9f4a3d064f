package gateprocessor

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Config is what the processor's section of a configuration says.
type Config struct {
	// Drain is how a stop is held.
	Drain DrainConfig `mapstructure:"drain"`
}

// DrainConfig says what a stop waits for.
type DrainConfig struct {
	// Timeout is the longest that a stop is held, over all pipelines. 0 holds it not at all.
	Timeout time.Duration `mapstructure:"timeout"`
	// Metrics is where this process tells its own metrics, in Prometheus' text format. There is no other way to ask an
	// exporter for the size of its queue.
	Metrics string `mapstructure:"metrics"`
	// UntilZero names the metrics of which every series has to be 0. A queue counts what is on its way until it is
	// delivered.
	UntilZero []string `mapstructure:"until_zero"`
	// For is how long they have to stay 0: longer than the interval at which the slowest of them is brought up to date.
	For time.Duration `mapstructure:"for"`
}

func defaultConfig() *Config {
	return &Config{Drain: DrainConfig{
		Metrics:   "http://127.0.0.1:8888/metrics",
		UntilZero: []string{"otelcol_exporter_queue_size"},
	}}
}

// Validate says what cannot be used, and what would do.
func (c *DrainConfig) Validate() error {
	var errs []error
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("timeout is %v: it has to be 0s, which holds no stop, or more", c.Timeout))
	}
	if c.For < 0 || c.For > c.Timeout && c.Timeout > 0 {
		errs = append(errs, fmt.Errorf("for is %v: it has to be between 0s and timeout, which is %v", c.For, c.Timeout))
	}
	if at, err := url.Parse(c.Metrics); err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		errs = append(errs, fmt.Errorf("metrics is %q: it has to be a URL, such as http://127.0.0.1:8888/metrics", c.Metrics))
	}
	if len(c.UntilZero) == 0 {
		errs = append(errs, errors.New("until_zero is empty: it has to name a metric, such as otelcol_exporter_queue_size"))
	}
	return errors.Join(errs...)
}
