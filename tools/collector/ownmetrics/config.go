package ownmetrics

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Config is the receiver's configuration.
type Config struct {
	// Interval is the time between two reads of the metrics.
	Interval time.Duration `mapstructure:"interval"`
	// Metrics is the URL of this process's own metrics in the Prometheus text format.
	Metrics string `mapstructure:"metrics"`
}

func defaultConfig() *Config {
	return &Config{Interval: 15 * time.Second, Metrics: "http://127.0.0.1:8888/metrics"}
}

// Validate returns an error for each unusable value. The error says which values are valid.
func (c *Config) Validate() error {
	var errs []error
	if c.Interval <= 0 {
		errs = append(errs, fmt.Errorf("interval is %v: use a positive duration", c.Interval))
	}
	if u, err := url.Parse(c.Metrics); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, fmt.Errorf("metrics is %q: use a URL such as http://127.0.0.1:8888/metrics", c.Metrics))
	}
	return errors.Join(errs...)
}
