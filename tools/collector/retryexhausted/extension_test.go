package retryexhausted

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// backend is an OTLP receiver that responds with failure to the first refusals requests.
type backend struct {
	plogotlp.UnimplementedGRPCServer
	failure  *status.Status
	refusals int32
	requests atomic.Int32
}

func (b *backend) Export(ctx context.Context, _ plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	if len(metadata.ValueFromIncomingContext(ctx, "authorization")) != 1 {
		return plogotlp.NewExportResponse(), status.Error(codes.Unauthenticated, "the header is missing")
	}
	if b.requests.Add(1) <= b.refusals {
		return plogotlp.NewExportResponse(), b.failure.Err()
	}
	return plogotlp.NewExportResponse(), nil
}

// host gives the extension to the exporter, as the Collector does.
type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// maxReceived is the maximum size of a request, in bytes.
const maxReceived = 1000

// export sends a log record with the body to the backend, through an exporter that uses the extension.
func export(t *testing.T, b *backend, body string) error {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxReceived))
	plogotlp.RegisterGRPCServer(server, b)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	id := component.NewID(Type)
	factory := NewFactory()
	middleware, err := factory.Create(
		t.Context(),
		extension.Settings{ID: id, TelemetrySettings: componenttest.NewNopTelemetrySettings()},
		factory.CreateDefaultConfig(),
	)
	check(t, err)

	otlp := otlpexporter.NewFactory()
	config := otlp.CreateDefaultConfig()
	check(t, confmap.NewFromStringMap(map[string]any{
		"endpoint":         listener.Addr().String(),
		"compression":      "none",
		"tls":              map[string]any{"insecure": true},
		"headers":          map[string]any{"authorization": "token"},
		"middlewares":      []any{map[string]any{"id": id.String()}},
		"retry_on_failure": map[string]any{"initial_interval": "1ms", "max_interval": "1ms", "max_elapsed_time": "1m"},
		// Without a queue, the exporter returns the error of the last attempt.
		"sending_queue": map[string]any{"enabled": false},
	}).Unmarshal(config))
	logs, err := otlp.CreateLogs(t.Context(), exporter.Settings{
		ID: component.NewID(otlp.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings(),
	}, config)
	check(t, err)
	check(t, logs.Start(t.Context(), host{id: middleware}))
	t.Cleanup(func() { check(t, logs.Shutdown(context.Background())) })

	data := plog.NewLogs()
	data.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr(body)
	return logs.ConsumeLogs(t.Context(), data)
}

func TestRetriesUntilTheBackendAccepts(t *testing.T) {
	b := &backend{failure: status.New(codes.ResourceExhausted, "responded with HTTP Status Code 429"), refusals: 3}
	check(t, export(t, b, "small"))
	if requests := b.requests.Load(); requests != 4 {
		t.Errorf("%d requests", requests)
	}
}

func TestDoesNotRetryOtherErrors(t *testing.T) {
	b := &backend{failure: status.New(codes.InvalidArgument, "responded with HTTP Status Code 400"), refusals: 1}
	if err := export(t, b, "small"); status.Code(err) != codes.InvalidArgument || b.requests.Load() != 1 {
		t.Errorf("%v after %d requests", err, b.requests.Load())
	}
}

func TestDoesNotRetryRequestThatIsTooLarge(t *testing.T) {
	// gRPC refuses the request before it reaches the backend. With retries, this would take a minute.
	b := &backend{}
	started := time.Now()
	err := export(t, b, strings.Repeat("x", maxReceived))
	if status.Code(err) != codes.ResourceExhausted || time.Since(started) > 30*time.Second {
		t.Errorf("%v after %v", err, time.Since(started))
	}
}

func TestKeepsTheDelayThatTheBackendAsksFor(t *testing.T) {
	failure, err := status.New(codes.ResourceExhausted, "busy").WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Minute)},
	)
	check(t, err)
	details := status.Convert(withRetryInfo(failure.Err())).Details()
	if len(details) != 1 || details[0].(*errdetails.RetryInfo).RetryDelay.AsDuration() != time.Minute {
		t.Error(details)
	}
}
