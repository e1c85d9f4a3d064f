package gateprocessor

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// receiverAndGate is an OTLP receiver in front of a gate, as in the Collector.
type receiverAndGate struct {
	gate     processor.Traces
	receiver receiver.Traces
	passed   *consumertest.TracesSink
	grpc     ptraceotlp.GRPCClient
	http     string
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func settings(t component.Type) (component.ID, component.TelemetrySettings) {
	return component.NewID(t), componenttest.NewNopTelemetrySettings()
}

func newGate(t *testing.T, f processor.Factory, config *Config, next *consumertest.TracesSink) processor.Traces {
	t.Helper()
	id, telemetry := settings(Type)
	telemetry.Logger = zap.NewNop()
	gate, err := f.CreateTraces(t.Context(), processor.Settings{ID: id, TelemetrySettings: telemetry}, config, next)
	check(t, err)
	return gate
}

func newReceiverAndGate(t *testing.T, config *Config) *receiverAndGate {
	t.Helper()
	r := &receiverAndGate{passed: &consumertest.TracesSink{}}
	r.gate = newGate(t, NewFactory(), config, r.passed)

	factory := otlpreceiver.NewFactory()
	otlp := factory.CreateDefaultConfig().(*otlpreceiver.Config)
	grpcAddress := freePort(t)
	r.http = "http://" + freePort(t) + "/v1/traces"
	otlp.Protocols.GRPC.GetOrInsertDefault().NetAddr.Endpoint = grpcAddress
	otlp.Protocols.HTTP.GetOrInsertDefault().ServerConfig.NetAddr.Endpoint = strings.Split(r.http, "/")[2]
	id, telemetry := settings(factory.Type())
	var err error
	r.receiver, err = factory.CreateTraces(
		t.Context(), receiver.Settings{ID: id, TelemetrySettings: telemetry}, otlp, r.gate,
	)
	check(t, err)
	// The receiver starts before the gate. This can happen in the Collector if two pipelines use the same receiver.
	check(t, r.receiver.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { check(t, r.receiver.Shutdown(context.Background())) })

	connection, err := grpc.NewClient(grpcAddress, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	t.Cleanup(func() { connection.Close() })
	r.grpc = ptraceotlp.NewGRPCClient(connection)
	return r
}

func (r *receiverAndGate) sendByGRPC(t *testing.T) codes.Code {
	t.Helper()
	data := ptrace.NewTraces()
	data.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("one")
	_, err := r.grpc.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(data))
	return status.Code(err)
}

func (r *receiverAndGate) sendByHTTP(t *testing.T) int {
	t.Helper()
	body := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"one"}]}]}]}`
	response, err := http.Post(r.http, "application/json", strings.NewReader(body))
	check(t, err)
	defer response.Body.Close()
	return response.StatusCode
}

func TestRejectsDataWithRetryableErrorUntilStarted(t *testing.T) {
	r := newReceiverAndGate(t, defaultConfig())
	if code := r.sendByGRPC(t); code != codes.Unavailable {
		t.Errorf("status over gRPC: %v", code)
	}
	if code := r.sendByHTTP(t); code != http.StatusServiceUnavailable {
		t.Errorf("status over HTTP: %v", code)
	}
	if count := r.passed.SpanCount(); count != 0 {
		t.Fatalf("%d spans passed the gate", count)
	}

	check(t, r.gate.Start(t.Context(), componenttest.NewNopHost()))
	if code := r.sendByGRPC(t); code != codes.OK {
		t.Errorf("status over gRPC: %v", code)
	}
	if code := r.sendByHTTP(t); code != http.StatusOK {
		t.Errorf("status over HTTP: %v", code)
	}
	if count := r.passed.SpanCount(); count != 2 {
		t.Errorf("%d spans passed the gate", count)
	}
}

// queues serves the metrics of a process with two queues.
type queues struct {
	*httptest.Server
	traces, logs atomic.Int64
	requests     atomic.Int64
	broken       atomic.Bool
}

func newQueues(t *testing.T) *queues {
	q := &queues{}
	q.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		q.requests.Add(1)
		if q.broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, `# HELP otelcol_exporter_queue_size Current size
# TYPE otelcol_exporter_queue_size gauge
otelcol_exporter_queue_size{data_type="logs",exporter="otlp_grpc"} %d
otelcol_exporter_queue_size{data_type="traces",exporter="loadbalancing"} %d
# TYPE otelcol_exporter_sent_spans_total counter
otelcol_exporter_sent_spans_total 3
`, q.logs.Load(), q.traces.Load())
	}))
	t.Cleanup(q.Close)
	return q
}

func (q *queues) config(timeout time.Duration) *Config {
	config := defaultConfig()
	config.Drain.Metrics = q.URL + "/metrics"
	config.Drain.Timeout = timeout
	return config
}

// farAway is a timeout that a passing test never reaches.
const farAway = time.Minute

// stop stops the gate in the background. The returned channel receives the duration of the stop.
func stop(t *testing.T, gate processor.Traces) <-chan time.Duration {
	t.Helper()
	ended := make(chan time.Duration, 1)
	began := time.Now()
	go func() {
		if err := gate.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		ended <- time.Since(began)
	}()
	return ended
}

func startedGate(t *testing.T, config *Config) processor.Traces {
	t.Helper()
	gate := newGate(t, NewFactory(), config, &consumertest.TracesSink{})
	check(t, gate.Start(t.Context(), componenttest.NewNopHost()))
	return gate
}

// awaitRequests waits for the given number of further requests for the metrics.
func (q *queues) awaitRequests(t *testing.T, times int64) {
	t.Helper()
	for until := q.requests.Load() + times; q.requests.Load() < until; time.Sleep(time.Millisecond) {
		if t.Context().Err() != nil {
			t.Fatal("the gate does not read the metrics")
		}
	}
}

func expectWaiting(t *testing.T, ended <-chan time.Duration, why string) {
	t.Helper()
	select {
	case <-ended:
		t.Fatalf("the gate stopped too early: %s", why)
	default:
	}
}

func TestStopWaitsUntilEveryQueueIsEmpty(t *testing.T) {
	q := newQueues(t)
	q.traces.Store(1000)
	q.logs.Store(10)
	ended := stop(t, startedGate(t, q.config(farAway)))
	q.awaitRequests(t, 2)
	expectWaiting(t, ended, "both queues hold data")
	q.traces.Store(0)
	q.awaitRequests(t, 2)
	expectWaiting(t, ended, "the log queue holds data")
	q.logs.Store(0)
	<-ended
}

func TestStopDoesNotWaitForEmptyQueues(t *testing.T) {
	q := newQueues(t)
	if took := <-stop(t, startedGate(t, q.config(farAway))); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if requests := q.requests.Load(); requests != 1 {
		t.Errorf("%d requests for metrics", requests)
	}
}

func TestStopWaitsWhileMetricsAreUnavailable(t *testing.T) {
	q := newQueues(t)
	q.broken.Store(true)
	ended := stop(t, startedGate(t, q.config(farAway)))
	q.awaitRequests(t, 2)
	expectWaiting(t, ended, "the metrics cannot be read")
	q.broken.Store(false)
	<-ended

	for _, name := range []string{"otelcol_exporter_queue_length", "otelcol_exporter_sent_spans_total"} {
		config := q.config(2 * pollInterval)
		config.Drain.UntilZero = append(config.Drain.UntilZero, name)
		if took := <-stop(t, startedGate(t, config)); took < 2*pollInterval {
			t.Errorf("with %s, which is not a gauge in these metrics, stopping took %v", name, took)
		}
	}
}

// stopThree stops the gates of three pipelines one after the other, as the Collector does. It returns the total time.
func stopThree(t *testing.T, config *Config) (took time.Duration) {
	t.Helper()
	f := NewFactory()
	var gates []processor.Traces
	for range 3 {
		gate := newGate(t, f, config, &consumertest.TracesSink{})
		check(t, gate.Start(t.Context(), componenttest.NewNopHost()))
		gates = append(gates, gate)
	}
	for _, gate := range gates {
		took += <-stop(t, gate)
	}
	return took
}

func TestStopWaitsNoLongerThanTimeout(t *testing.T) {
	q := newQueues(t)
	q.traces.Store(1)
	took := stopThree(t, q.config(5*pollInterval))
	// The three gates share one timeout.
	if took < 5*pollInterval || took > 10*pollInterval {
		t.Errorf("stopping three gates took %v", took)
	}

	q.requests.Store(0)
	// With timeout 0, a gate does not wait.
	<-stop(t, startedGate(t, q.config(0)))
	// A gate that never started does not wait.
	<-stop(t, newGate(t, NewFactory(), q.config(farAway), &consumertest.TracesSink{}))
	if requests := q.requests.Load(); requests != 0 {
		t.Errorf("%d requests for metrics", requests)
	}
}

func TestQueuesMustStayEmpty(t *testing.T) {
	q := newQueues(t)
	config := q.config(farAway)
	config.Drain.For = 5 * pollInterval
	ended := stop(t, startedGate(t, config))
	q.awaitRequests(t, 2)
	expectWaiting(t, ended, "the queues were empty for too short a time")
	q.traces.Store(1)
	q.awaitRequests(t, 8)
	expectWaiting(t, ended, "a queue holds data again")
	q.traces.Store(0)
	<-ended

	// After the first gate has seen empty queues for long enough, the other two gates do not wait again.
	config.Drain.For = 10 * pollInterval
	if took := stopThree(t, config); took < 10*pollInterval || took > 20*pollInterval {
		t.Errorf("stopping three gates took %v", took)
	}
}

func TestRejectsUnusableConfigurationWithAdvice(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*DrainConfig)
		want   string
	}{
		"timeout":    {func(c *DrainConfig) { c.Timeout = -1 }, "timeout is -1ns: use 0s"},
		"for":        {func(c *DrainConfig) { c.Timeout, c.For = 1, 2 }, "`for` is 2ns: use a duration between 0s and the timeout"},
		"metrics":    {func(c *DrainConfig) { c.Metrics = "127.0.0.1:8888" }, `metrics is "127.0.0.1:8888": use a URL`},
		"until_zero": {func(c *DrainConfig) { c.UntilZero = nil }, "until_zero is empty"},
	} {
		config := defaultConfig()
		check(t, config.Drain.Validate())
		test.change(&config.Drain)
		if err := config.Drain.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
