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
	// poll is how often metrics are looked at. It is what a stop with empty queues costs at most.
	poll = 100 * time.Millisecond
	// answerWithin is how long one look may take.
	answerWithin = 2 * time.Second
	// maxBody bounds what is read of an answer.
	maxBody = 16 << 20
)

// drain waits until there is nothing left. Gates that share one use it one after the other, as the Collector stops
// them: the first starts the time, and what it has seen the others need not wait for again.
type drain struct {
	config    DrainConfig
	logger    *zap.Logger
	client    *http.Client
	deadline  time.Time
	zeroSince time.Time
}

func newDrain(config DrainConfig, logger *zap.Logger) *drain {
	// A process asks itself: never through a proxy.
	client := &http.Client{Transport: &http.Transport{Proxy: nil}, Timeout: answerWithin}
	return &drain{config: config, logger: logger, client: client}
}

// wait returns when everything has been 0 for long enough, or when the time is over; it says which.
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
	said := false
	for ctx.Err() == nil {
		left, err := d.left(ctx)
		now := time.Now()
		switch {
		// Not knowing is no reason to think that nothing is left.
		case err != nil || left != "":
			d.zeroSince = time.Time{}
			if !said {
				said = true
				d.logger.Info("Holding the stop until nothing is left",
					zap.String("left", left), zap.Error(err), zap.Duration("at_most", time.Until(d.deadline)))
			}
		case d.zeroSince.IsZero():
			d.zeroSince = now
		}
		if !d.zeroSince.IsZero() && now.Sub(d.zeroSince) >= d.config.For {
			if said {
				d.logger.Info("What was left is delivered", zap.Duration("waited", now.Sub(began)))
			}
			return
		}
		select {
		case <-ctx.Done():
			d.logger.Warn("Something is left, and the time for it is over",
				zap.String("left", left), zap.Error(err), zap.Duration("waited", time.Since(began)))
		case <-time.After(poll):
		}
	}
}

// left names a series that is not 0 with its value; empty if all are.
func (d *drain) left(ctx context.Context) (string, error) {
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
		return "", fmt.Errorf("%s answered %s", d.config.Metrics, response.Status)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return "", fmt.Errorf("%s: %w", d.config.Metrics, err)
	}
	for _, name := range d.config.UntilZero {
		family, there := families[name]
		if !there {
			return "", fmt.Errorf("%s has no %s", d.config.Metrics, name)
		}
		for _, series := range family.GetMetric() {
			if series.GetGauge() == nil {
				return "", fmt.Errorf("%s of %s is no gauge: it says nothing of what is left", name, d.config.Metrics)
			}
			if value := series.GetGauge().GetValue(); value != 0 {
				return fmt.Sprintf("%s{%s} = %v", name, labels(series.GetLabel()), value), nil
			}
		}
	}
	return "", nil
}

// labels tells the two that tell queues apart.
func labels(all []*dto.LabelPair) string {
	var text []string
	for _, label := range all {
		if name := label.GetName(); name == "exporter" || name == "data_type" {
			text = append(text, fmt.Sprintf("%s=%q", name, label.GetValue()))
		}
	}
	return strings.Join(text, ",")
}
