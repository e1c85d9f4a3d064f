package gateprocessor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/zap"
)

const (
	// pollInterval is the time between two reads of the metrics.
	pollInterval = 100 * time.Millisecond
	// requestTimeout limits one read of the metrics.
	requestTimeout = 2 * time.Second
	// maxBody limits the number of bytes that are read from a response.
	maxBody = 16 << 20
)

// drain waits until no data is left in the queues. Several gates can share a drain. The Collector stops the gates one
// after the other. The first gate starts the timeout for all of them. After one gate has seen the gauges at 0 for long
// enough, the other gates do not wait for that time again.
type drain struct {
	config    DrainConfig
	logger    *zap.Logger
	client    *http.Client
	deadline  time.Time
	zeroSince time.Time
}

func newDrain(config DrainConfig, logger *zap.Logger) *drain {
	// The process reads its own metrics, so the request must not go through a proxy.
	client := &http.Client{Transport: &http.Transport{Proxy: nil}, Timeout: requestTimeout}
	return &drain{config: config, logger: logger, client: client}
}

// wait returns when all gauges have been 0 for long enough, or when the timeout is over. If it had to wait, it logs the
// result.
func (d *drain) wait(ctx context.Context) {
	if d.config.Timeout == 0 {
		return
	}
	defer d.client.CloseIdleConnections()
	began := time.Now()
	if d.deadline.IsZero() {
		d.deadline = began.Add(d.config.Timeout)
	}
	ctx, cancel := context.WithDeadline(ctx, d.deadline)
	defer cancel()
	logged := false
	for ctx.Err() == nil {
		remaining, err := d.remaining(ctx)
		now := time.Now()
		switch {
		// If the metrics cannot be read, the queues may still hold data.
		case err != nil || remaining != "":
			d.zeroSince = time.Time{}
			if !logged {
				logged = true
				d.logger.Info("Waiting for the queues to drain before stopping",
					zap.String("remaining", remaining), zap.Error(err), zap.Duration("timeout", time.Until(d.deadline)))
			}
		case d.zeroSince.IsZero():
			d.zeroSince = now
		}
		if !d.zeroSince.IsZero() && now.Sub(d.zeroSince) >= d.config.For {
			if logged {
				d.logger.Info("The queues are drained", zap.Duration("waited", now.Sub(began)))
			}
			return
		}
		select {
		case <-ctx.Done():
			d.logger.Warn("Drain timeout exceeded, stopping with data left in the queues",
				zap.String("remaining", remaining), zap.Error(err), zap.Duration("waited", time.Since(began)))
		case <-time.After(pollInterval):
		}
	}
}

// remaining returns the first series that is not 0, with its value. It returns an empty string if all series are 0.
func (d *drain) remaining(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.config.Metrics, nil)
	if err != nil {
		return "", err
	}
	response, err := d.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s returned status %s", d.config.Metrics, response.Status)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return "", fmt.Errorf("cannot parse the metrics of %s: %w", d.config.Metrics, err)
	}
	for _, name := range d.config.UntilZero {
		family, ok := families[name]
		if !ok {
			return "", fmt.Errorf("%s has no metric %s", d.config.Metrics, name)
		}
		for _, series := range family.GetMetric() {
			if series.GetGauge() == nil {
				return "", fmt.Errorf("%s of %s is not a gauge, so it does not show the size of a queue", name, d.config.Metrics)
			}
			if value := series.GetGauge().GetValue(); value != 0 {
				return fmt.Sprintf("%s{%s} = %v", name, labels(series.GetLabel()), value), nil
			}
		}
	}
	return "", nil
}

// labels formats the two labels that identify a queue.
func labels(all []*dto.LabelPair) string {
	var text []string
	for _, label := range all {
		if name := label.GetName(); name == "exporter" || name == "data_type" {
			text = append(text, fmt.Sprintf("%s=%q", name, label.GetValue()))
		}
	}
	return strings.Join(text, ",")
}
