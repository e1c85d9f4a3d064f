package k8sattributes

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

const uid = "6a2f6d5e-0000-4000-8000-000000000001"

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// apiServer serves one pod, and watches on which nothing happens.
func apiServer(t *testing.T) http.Handler {
	stop := t.Context().Done()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Query().Has("sendInitialEvents"):
			// The client then lists the objects first.
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "BadRequest", "code": 400}`)
		case r.URL.Query().Has("watch"):
			w.(http.Flusher).Flush()
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		default:
			pod := map[string]any{"metadata": map[string]string{
				"name": "shop-1", "namespace": "default", "uid": uid, "resourceVersion": "1",
			}}
			list := map[string]any{"kind": "PodList", "apiVersion": "v1", "items": []any{pod},
				"metadata": map[string]string{"resourceVersion": "1"}}
			check(t, json.NewEncoder(w).Encode(list))
		}
	})
}

// statusHost fails the test if a component reports a fatal error, after which the Collector would stop.
type statusHost struct {
	component.Host
	t *testing.T
}

func (h statusHost) Report(event *componentstatus.Event) {
	if event.Status() == componentstatus.StatusFatalError {
		h.t.Errorf("reported a fatal error: %v", event.Err())
	}
}

// create creates the processor for the API server at an address.
func create(t *testing.T, address string, logger *zap.Logger, sink *consumertest.TracesSink) processor.Traces {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	check(t, os.WriteFile(kubeconfig, []byte(`{"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"clusters": [{"name": "x", "cluster": {"server": "http://`+address+`"}}],
		"contexts": [{"name": "x", "context": {"cluster": "x"}}]}`), 0o600))
	t.Setenv("KUBECONFIG", kubeconfig)
	config := wrapped.CreateDefaultConfig()
	check(t, confmap.NewFromStringMap(map[string]any{
		"auth_type":         "kubeConfig",
		"wait_for_metadata": true, "wait_for_metadata_timeout": "300ms",
		"extract": map[string]any{"metadata": []any{"k8s.pod.name"}},
		"pod_association": []any{
			map[string]any{"sources": []any{map[string]any{"from": "resource_attribute", "name": "k8s.pod.uid"}}},
		},
	}).Unmarshal(config))
	telemetry := componenttest.NewNopTelemetrySettings()
	telemetry.Logger = logger
	set := processor.Settings{ID: component.NewID(Type), TelemetrySettings: telemetry}
	created, err := NewFactory().CreateTraces(t.Context(), set, config, sink)
	check(t, err)
	return created
}

// podName sends a span of the pod, and returns the name of the pod that the processor adds to its resource.
func podName(t *testing.T, traces processor.Traces, sink *consumertest.TracesSink) string {
	t.Helper()
	data := ptrace.NewTraces()
	resource := data.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("k8s.pod.uid", uid)
	resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("work")
	check(t, traces.ConsumeTraces(t.Context(), data))
	all := sink.AllTraces()
	name, found := all[len(all)-1].ResourceSpans().At(0).Resource().Attributes().Get("k8s.pod.name")
	if !found {
		return ""
	}
	return name.Str()
}

func TestStartsWithoutTheAPIServerAndAddsAttributesLater(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	address := listener.Addr().String()
	check(t, listener.Close())
	core, messages := observer.New(zap.WarnLevel)
	sink := &consumertest.TracesSink{}
	traces := create(t, address, zap.New(core), sink)
	check(t, traces.Start(t.Context(), statusHost{componenttest.NewNopHost(), t}))
	defer func() { check(t, traces.Shutdown(context.Background())) }()
	if count := messages.FilterMessageSnippet("without Kubernetes attributes").Len(); count != 1 {
		t.Fatalf("logged %v", messages.All())
	}
	if name := podName(t, traces, sink); name != "" {
		t.Fatalf("without an API server, the name is %s", name)
	}

	listener, err = net.Listen("tcp", address)
	check(t, err)
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: apiServer(t)}}
	server.Start()
	defer server.CloseClientConnections()
	for end := time.Now().Add(40 * time.Second); podName(t, traces, sink) != "shop-1"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the processor adds no attributes")
		}
	}
}

func TestWaitsForTheAPIServer(t *testing.T) {
	server := httptest.NewServer(apiServer(t))
	defer server.CloseClientConnections()
	sink := &consumertest.TracesSink{}
	traces := create(t, server.Listener.Addr().String(), zap.NewNop(), sink)
	check(t, traces.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { check(t, traces.Shutdown(context.Background())) }()
	if name := podName(t, traces, sink); name != "shop-1" {
		t.Fatalf("the first span has the pod %q", name)
	}
}

func TestDoesNotStartAfterAnotherError(t *testing.T) {
	sink := &consumertest.TracesSink{}
	// A port that is not a number: the address cannot be parsed.
	traces := create(t, "127.0.0.1:x", zap.NewNop(), sink)
	err := traces.Start(t.Context(), componenttest.NewNopHost())
	if err == nil || strings.Contains(err.Error(), timedOut) {
		t.Fatalf("the error is %v", err)
	}
}
