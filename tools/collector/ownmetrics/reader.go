package ownmetrics

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"
)

const (
	// requestTimeout limits one read of the metrics.
	requestTimeout = 2 * time.Second
	// shutdownTimeout limits the last read, and the wait for space in a full queue.
	shutdownTimeout = 2 * time.Second
	// maxBody limits the number of bytes that are read from a response.
	maxBody = 16 << 20
)

// reader reads the metrics periodically, and once more when it stops.
type reader struct {
	config   *Config
	logger   *zap.Logger
	resource pcommon.Resource
	next     consumer.Metrics
	client   *http.Client
	started  time.Time
	stop     context.CancelFunc
	stopped  chan struct{}
}

func newReader(config *Config, set receiver.Settings, next consumer.Metrics) *reader {
	// The process reads its own metrics, so the request must not go through a proxy.
	client := &http.Client{Transport: &http.Transport{Proxy: nil}, Timeout: requestTimeout}
	return &reader{config: config, logger: set.Logger, resource: set.Resource, next: next, client: client}
}

// Start starts the periodic reads.
func (r *reader) Start(context.Context, component.Host) error {
	r.started = time.Now()
	// The context of the caller ends when all components have started.
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.stopped = stop, make(chan struct{})
	go r.run(ctx)
	return nil
}

// Shutdown stops the periodic reads, and passes the metrics on for the last time.
func (r *reader) Shutdown(ctx context.Context) error {
	if r.stop == nil {
		return nil
	}
	r.stop()
	<-r.stopped
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	r.pass(ctx)
	r.client.CloseIdleConnections()
	return nil
}

func (r *reader) run(ctx context.Context) {
	defer close(r.stopped)
	ticker := time.NewTicker(r.config.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			// If the next read is due while a queue is full, its newer values replace these.
			pass, cancel := context.WithTimeout(ctx, max(r.config.Interval, requestTimeout))
			r.pass(pass)
			cancel()
		}
	}
}

// pass reads the metrics once and passes them on. What is lost by an error is only one point in time: most metrics are
// counters, and the next read has their sums.
func (r *reader) pass(ctx context.Context) {
	families, err := r.read(ctx)
	if err == nil {
		metrics := convert(families, r.resource, r.started, time.Now())
		addProcess(metrics, time.Now())
		err = r.next.ConsumeMetrics(ctx, metrics)
	}
	if err != nil && ctx.Err() == nil {
		r.logger.Warn("Cannot pass on the metrics of this process", zap.Error(err))
	}
}

func (r *reader) read(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.config.Metrics, nil)
	if err != nil {
		return nil, err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s returned status %s", r.config.Metrics, response.Status)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("cannot parse the metrics of %s: %w", r.config.Metrics, err)
	}
	return families, nil
}
