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

// A receiver, as in the Collector, in front of a gate.
type lab struct {
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

func newLab(t *testing.T, config *Config) *lab {
	t.Helper()
	l := &lab{passed: &consumertest.TracesSink{}}
	l.gate = newGate(t, NewFactory(), config, l.passed)

	factory := otlpreceiver.NewFactory()
	otlp := factory.CreateDefaultConfig().(*otlpreceiver.Config)
	at := freePort(t)
	l.http = "http://" + freePort(t) + "/v1/traces"
	otlp.Protocols.GRPC.GetOrInsertDefault().NetAddr.Endpoint = at
	otlp.Protocols.HTTP.GetOrInsertDefault().ServerConfig.NetAddr.Endpoint = strings.Split(l.http, "/")[2]
	id, telemetry := settings(factory.Type())
	var err error
	l.receiver, err = factory.CreateTraces(
		t.Context(), receiver.Settings{ID: id, TelemetrySettings: telemetry}, otlp, l.gate,
	)
	check(t, err)
	// Before the gate, as the Collector may do with those of another pipeline.
	check(t, l.receiver.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { check(t, l.receiver.Shutdown(context.Background())) })

	connection, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	t.Cleanup(func() { connection.Close() })
	l.grpc = ptraceotlp.NewGRPCClient(connection)
	return l
}

func (l *lab) sendByGRPC(t *testing.T) codes.Code {
	t.Helper()
	data := ptrace.NewTraces()
	data.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("one")
	_, err := l.grpc.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(data))
	return status.Code(err)
}

func (l *lab) sendByHTTP(t *testing.T) int {
	t.Helper()
	body := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"one"}]}]}]}`
	response, err := http.Post(l.http, "application/json", strings.NewReader(body))
	check(t, err)
	defer response.Body.Close()
	return response.StatusCode
}

func TestDataIsRefusedForAnotherTimeUntilTheGateHasStarted(t *testing.T) {
	l := newLab(t, defaultConfig())
	if code := l.sendByGRPC(t); code != codes.Unavailable {
		t.Errorf("over gRPC the answer is %v", code)
	}
	if code := l.sendByHTTP(t); code != http.StatusServiceUnavailable {
		t.Errorf("over HTTP the answer is %v", code)
	}
	if count := l.passed.SpanCount(); count != 0 {
		t.Fatalf("%d spans passed", count)
	}

	check(t, l.gate.Start(t.Context(), componenttest.NewNopHost()))
	if code := l.sendByGRPC(t); code != codes.OK {
		t.Errorf("over gRPC the answer is %v", code)
	}
	if code := l.sendByHTTP(t); code != http.StatusOK {
		t.Errorf("over HTTP the answer is %v", code)
	}
	if count := l.passed.SpanCount(); count != 2 {
		t.Errorf("%d spans passed", count)
	}
}

// A process that tells how much is in its queues.
type queues struct {
	*httptest.Server
	traces, logs atomic.Int64
	looks        atomic.Int64
	broken       atomic.Bool
}

func newQueues(t *testing.T) *queues {
	q := &queues{}
	q.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		q.looks.Add(1)
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

// Long enough never to be reached in a test that passes.
const never = time.Minute

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

func started(t *testing.T, config *Config) processor.Traces {
	t.Helper()
	gate := newGate(t, NewFactory(), config, &consumertest.TracesSink{})
	check(t, gate.Start(t.Context(), componenttest.NewNopHost()))
	return gate
}

func (q *queues) isLookedAt(t *testing.T, times int64) {
	t.Helper()
	for until := q.looks.Load() + times; q.looks.Load() < until; time.Sleep(time.Millisecond) {
		if t.Context().Err() != nil {
			t.Fatal("nobody looks")
		}
	}
}

func holds(t *testing.T, ended <-chan time.Duration, why string) {
	t.Helper()
	select {
	case <-ended:
		t.Fatalf("the stop is not held: %s", why)
	default:
	}
}

func TestAStopIsHeldUntilEveryQueueIsEmpty(t *testing.T) {
	q := newQueues(t)
	q.traces.Store(1000)
	q.logs.Store(10)
	ended := stop(t, started(t, q.config(never)))
	q.isLookedAt(t, 2)
	holds(t, ended, "nothing is delivered")
	q.traces.Store(0)
	q.isLookedAt(t, 2)
	holds(t, ended, "logs are left")
	q.logs.Store(0)
	<-ended
}

func TestAStopWithEmptyQueuesIsNotHeld(t *testing.T) {
	q := newQueues(t)
	if took := <-stop(t, started(t, q.config(never))); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if looks := q.looks.Load(); looks != 1 {
		t.Errorf("it looked %d times", looks)
	}
}

func TestAStopIsHeldWhileNothingIsKnown(t *testing.T) {
	q := newQueues(t)
	q.broken.Store(true)
	ended := stop(t, started(t, q.config(never)))
	q.isLookedAt(t, 2)
	holds(t, ended, "no metrics")
	q.broken.Store(false)
	<-ended

	for _, name := range []string{"otelcol_exporter_queue_length", "otelcol_exporter_sent_spans_total"} {
		config := q.config(2 * poll)
		config.Drain.UntilZero = append(config.Drain.UntilZero, name)
		if took := <-stop(t, started(t, config)); took < 2*poll {
			t.Errorf("with %s, which does not tell, it took %v", name, took)
		}
	}
}

// stopThree stops the gates of three pipelines, one after the other, as the Collector does.
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

func TestAStopIsHeldNoLongerThanItMay(t *testing.T) {
	q := newQueues(t)
	q.traces.Store(1)
	took := stopThree(t, q.config(5*poll))
	// Three gates share one time.
	if took < 5*poll || took > 10*poll {
		t.Errorf("three gates took %v", took)
	}

	q.looks.Store(0)
	<-stop(t, started(t, q.config(0)))
	// Nor is one held that did not come to its start.
	<-stop(t, newGate(t, NewFactory(), q.config(never), &consumertest.TracesSink{}))
	if looks := q.looks.Load(); looks != 0 {
		t.Errorf("it looked %d times", looks)
	}
}

func TestZeroHasToLast(t *testing.T) {
	q := newQueues(t)
	config := q.config(never)
	config.Drain.For = 5 * poll
	ended := stop(t, started(t, config))
	q.isLookedAt(t, 2)
	holds(t, ended, "it was empty for too short a time")
	q.traces.Store(1)
	q.isLookedAt(t, 8)
	holds(t, ended, "it is no longer empty")
	q.traces.Store(0)
	<-ended

	// What the first of three gates has seen, the others believe.
	config.Drain.For = 10 * poll
	if took := stopThree(t, config); took < 10*poll || took > 20*poll {
		t.Errorf("three gates took %v", took)
	}
}

func TestAnUnusableConfigurationIsRefusedWithAdvice(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*DrainConfig)
		says   string
	}{
		"timeout":    {func(c *DrainConfig) { c.Timeout = -1 }, "timeout is -1ns: it has to be 0s"},
		"for":        {func(c *DrainConfig) { c.Timeout, c.For = 1, 2 }, "for is 2ns: it has to be between 0s and timeout"},
		"metrics":    {func(c *DrainConfig) { c.Metrics = "127.0.0.1:8888" }, `metrics is "127.0.0.1:8888": it has to be`},
		"until_zero": {func(c *DrainConfig) { c.UntilZero = nil }, "until_zero is empty"},
	} {
		config := defaultConfig()
		check(t, config.Drain.Validate())
		test.change(&config.Drain)
		if err := config.Drain.Validate(); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
