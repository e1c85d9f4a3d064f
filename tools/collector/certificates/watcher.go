package certificates

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// repeat is the time between two warnings about the same certificate.
const repeat = 24 * time.Hour

// metricName has the unit as a suffix, because the Collector serves its metrics without adding one. The telemetry library
// reports sightline.certificate.expiry, which every store gives this name.
const metricName = "sightline_certificate_expiry_seconds"

// watcher reads the certificates periodically.
type watcher struct {
	config  *Config
	logger  *zap.Logger
	meters  metric.MeterProvider
	gauge   metric.Registration
	stop    context.CancelFunc
	stopped chan struct{}
	// The name of a certificate, `own`, `ca` or `backend`, is the key of all maps.
	warned map[string]warning
	failed map[string]bool
	mutex  sync.Mutex
	// known is guarded by mutex.
	known map[string]validity
}

// warning is the latest warning about a certificate.
type warning struct {
	until   time.Time
	expired bool
	at      time.Time
}

// Start reads the certificates, except for that of the backend, and starts the periodic checks.
func (w *watcher) Start(context.Context, component.Host) error {
	w.warned, w.failed, w.known = map[string]warning{}, map[string]bool{}, map[string]validity{}
	meter := w.meters.Meter(Type.String())
	gauge, err := meter.Int64ObservableGauge(metricName, metric.WithUnit("s"),
		metric.WithDescription("The Unix time at which the certificate expires."))
	if err != nil {
		return err
	}
	w.gauge, err = meter.RegisterCallback(func(_ context.Context, observer metric.Observer) error {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		for name, validity := range w.known {
			observer.ObserveInt64(gauge, validity.until.Unix(),
				metric.WithAttributes(attribute.String("certificate", name)))
		}
		return nil
	}, gauge)
	if err != nil {
		return err
	}
	w.readFiles()
	// The context of the caller ends when all components have started.
	ctx, stop := context.WithCancel(context.Background())
	w.stop, w.stopped = stop, make(chan struct{})
	go w.run(ctx)
	return nil
}

// Shutdown stops the periodic checks.
func (w *watcher) Shutdown(context.Context) error {
	if w.stop == nil {
		return nil
	}
	w.stop()
	<-w.stopped
	return w.gauge.Unregister()
}

func (w *watcher) run(ctx context.Context) {
	defer close(w.stopped)
	ticker := time.NewTicker(w.config.Interval)
	defer ticker.Stop()
	for {
		w.readBackend(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.readFiles()
		}
	}
}

func (w *watcher) readFiles() {
	for _, file := range []struct {
		name, path string
		read       func(string) (validity, error)
	}{{"own", w.config.Own, readOwn}, {"ca", w.config.CA, readCA}} {
		if file.path == "" {
			continue
		}
		validity, err := file.read(file.path)
		if err != nil && !w.failed[file.name] {
			w.logger.Warn("Cannot read when a certificate expires", zap.String("certificate", file.name), zap.Error(err))
		}
		w.failed[file.name] = err != nil
		w.report(file.name, file.path, validity, err)
	}
}

// readBackend keeps the last known expiry if the backend cannot be reached: the exporters log that it cannot.
func (w *watcher) readBackend(ctx context.Context) {
	if w.config.Backend == "" {
		return
	}
	validity, err := readServer(ctx, w.config.Backend, w.config.Own, w.config.Key)
	if err == nil {
		w.report("backend", w.config.Backend, validity, nil)
		return
	}
	w.logger.Debug("Cannot read the certificate of the backend", zap.Error(err))
	w.mutex.Lock()
	known, ok := w.known["backend"]
	w.mutex.Unlock()
	if ok {
		w.report("backend", w.config.Backend, known, nil)
	}
}

// report sets the metric of a certificate, and logs a warning if one is due. After an error, there is no metric.
func (w *watcher) report(name, source string, validity validity, err error) {
	w.mutex.Lock()
	if err == nil {
		w.known[name] = validity
	} else {
		delete(w.known, name)
	}
	w.mutex.Unlock()
	if err != nil {
		return
	}
	next, due := w.due(w.warned[name], validity, time.Now())
	if !due {
		return
	}
	w.warned[name] = next
	fields := []zap.Field{
		zap.String("certificate", name), zap.String("source", source), zap.Time("expires", validity.until),
	}
	if next.expired {
		w.logger.Error("A certificate has expired; new connections fail", fields...)
	} else {
		w.logger.Warn("A certificate expires soon", fields...)
	}
}

// due returns whether a warning is due, and the warning.
func (w *watcher) due(last warning, validity validity, now time.Time) (warning, bool) {
	before := min(time.Duration(w.config.WarnDays)*24*time.Hour, validity.until.Sub(validity.from)/4)
	if now.Before(validity.until.Add(-before)) {
		return warning{}, false
	}
	next := warning{until: validity.until, expired: !now.Before(validity.until), at: now}
	same := last.until.Equal(next.until) && last.expired == next.expired
	return next, !same || now.Sub(last.at) >= repeat
}
