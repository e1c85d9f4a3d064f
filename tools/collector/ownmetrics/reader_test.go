package ownmetrics

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver"
)

const page = `# TYPE otelcol_sent_total counter
otelcol_sent_total{exporter="backend",otel_scope_name="x"} %d
# TYPE otelcol_queue gauge
otelcol_queue{exporter="backend"} 3
# TYPE otelcol_size histogram
otelcol_size_bucket{le="1"} 2
otelcol_size_bucket{le="5"} 6
otelcol_size_bucket{le="+Inf"} 7
otelcol_size_sum 30
otelcol_size_count 7
# TYPE target_info gauge
target_info{service_name="sightline-agent"} 1
`

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts a receiver that reads a page whose counter is the number of requests.
func start(t *testing.T, interval time.Duration) (receiver.Metrics, *consumertest.MetricsSink) {
	t.Helper()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, page, requests.Add(1))
	}))
	t.Cleanup(server.Close)
	telemetry := componenttest.NewNopTelemetrySettings()
	telemetry.Resource.Attributes().PutStr("service.name", "sightline-agent")
	config := &Config{Interval: interval, Metrics: server.URL}
	check(t, config.Validate())
	sink := &consumertest.MetricsSink{}
	set := receiver.Settings{ID: component.NewID(Type), TelemetrySettings: telemetry}
	r, err := NewFactory().CreateMetrics(t.Context(), set, config, sink)
	check(t, err)
	check(t, r.Start(t.Context(), componenttest.NewNopHost()))
	return r, sink
}

// find returns the metrics of the last pass by their names.
func find(t *testing.T, sink *consumertest.MetricsSink) map[string]pmetric.Metric {
	t.Helper()
	all := sink.AllMetrics()
	group := all[len(all)-1].ResourceMetrics().At(0)
	if name, _ := group.Resource().Attributes().Get("service.name"); name.Str() != "sightline-agent" {
		t.Fatalf("the resource is %v", group.Resource().Attributes().AsRaw())
	}
	found := map[string]pmetric.Metric{}
	for _, metric := range group.ScopeMetrics().At(0).Metrics().All() {
		found[metric.Name()] = metric
	}
	return found
}

func TestPassesOnTheMetricsWhenItStops(t *testing.T) {
	r, sink := start(t, time.Hour)
	check(t, r.Shutdown(context.Background()))
	if count := len(sink.AllMetrics()); count != 1 {
		t.Fatalf("passed on %d times", count)
	}
	found := find(t, sink)
	sent := found["otelcol_sent_total"].Sum()
	point := sent.DataPoints().At(0)
	if !sent.IsMonotonic() || point.DoubleValue() != 1 || fmt.Sprint(point.Attributes().AsRaw()) != "map[exporter:backend]" {
		t.Errorf("the counter is %v with %v", point.DoubleValue(), point.Attributes().AsRaw())
	}
	if queue := found["otelcol_queue"].Gauge().DataPoints().At(0).DoubleValue(); queue != 3 {
		t.Errorf("the gauge is %v", queue)
	}
	size := found["otelcol_size"].Histogram().DataPoints().At(0)
	if !slices.Equal(size.BucketCounts().AsRaw(), []uint64{2, 4, 1}) || !slices.Equal(size.ExplicitBounds().AsRaw(), []float64{1, 5}) {
		t.Errorf("the histogram is %v %v", size.ExplicitBounds().AsRaw(), size.BucketCounts().AsRaw())
	}
	if _, ok := found["target_info"]; ok {
		t.Error("target_info is passed on")
	}
}

func TestReadsPeriodically(t *testing.T) {
	r, sink := start(t, time.Millisecond)
	for deadline := time.Now().Add(10 * time.Second); len(sink.AllMetrics()) < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the metrics are not read three times")
		}
	}
	check(t, r.Shutdown(context.Background()))
	value := find(t, sink)["otelcol_sent_total"].Sum().DataPoints().At(0).DoubleValue()
	if value < 3 {
		t.Errorf("the last counter is %v", value)
	}
}

func TestRejectsUnusableSettings(t *testing.T) {
	for _, config := range []Config{
		{Interval: 0, Metrics: "http://127.0.0.1:8888/metrics"},
		{Interval: time.Second, Metrics: "127.0.0.1:8888"},
	} {
		if config.Validate() == nil {
			t.Errorf("%v is accepted", config)
		}
	}
}
