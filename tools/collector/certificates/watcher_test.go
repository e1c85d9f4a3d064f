package certificates

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// certificate returns a self-signed certificate, and its key, both in PEM.
func certificate(t *testing.T, from, until time.Time) (string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	text := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return text("CERTIFICATE", der), text("PRIVATE KEY", private)
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	check(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// running is a started extension.
type running struct {
	reader *sdkmetric.ManualReader
	logs   *observer.ObservedLogs
}

func start(t *testing.T, config *Config) running {
	t.Helper()
	check(t, config.Validate())
	core, logs := observer.New(zap.WarnLevel)
	reader := sdkmetric.NewManualReader()
	telemetry := componenttest.NewNopTelemetrySettings()
	telemetry.Logger = zap.New(core)
	telemetry.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	set := extension.Settings{ID: component.NewID(Type), TelemetrySettings: telemetry}
	created, err := NewFactory().Create(t.Context(), set, config)
	check(t, err)
	check(t, created.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { check(t, created.Shutdown(context.Background())) })
	return running{reader, logs}
}

// expiries returns the values of the metric by the name of the certificate.
func (r running) expiries(t *testing.T) map[string]int64 {
	t.Helper()
	var found metricdata.ResourceMetrics
	check(t, r.reader.Collect(t.Context(), &found))
	values := map[string]int64{}
	for _, scope := range found.ScopeMetrics {
		for _, metric := range scope.Metrics {
			if metric.Name != metricName || metric.Unit != "s" {
				t.Fatalf("unexpected metric %s in %s", metric.Name, metric.Unit)
			}
			for _, point := range metric.Data.(metricdata.Gauge[int64]).DataPoints {
				name, _ := point.Attributes.Value("certificate")
				values[name.AsString()] = point.Value
			}
		}
	}
	return values
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func config(own, ca string) *Config {
	config := defaultConfig().(*Config)
	config.Own, config.CA, config.Interval = own, ca, 10*time.Millisecond
	return config
}

func TestReportsTheFilesAndTheirReplacements(t *testing.T) {
	now := time.Now()
	soon, late := now.Add(40*24*time.Hour), now.Add(90*24*time.Hour)
	leaf, _ := certificate(t, now, late)
	intermediate, _ := certificate(t, now, soon)
	own, ca := write(t, "tls.crt", leaf+intermediate), write(t, "ca.crt", intermediate+leaf)
	r := start(t, config(own, ca))
	if values := r.expiries(t); values["own"] != soon.Unix() || values["ca"] != late.Unix() || len(values) != 2 {
		t.Fatalf("the metrics are %v, not %d and %d", values, soon.Unix(), late.Unix())
	}
	check(t, os.WriteFile(own, []byte(leaf), 0o600))
	eventually(t, "the new certificate is not reported", func() bool { return r.expiries(t)["own"] == late.Unix() })
	if r.logs.Len() != 0 {
		t.Fatalf("logged %v", r.logs.All())
	}
}

func TestLogsEachStateOnce(t *testing.T) {
	now := time.Now()
	soon, _ := certificate(t, now.Add(-80*24*time.Hour), now.Add(6*24*time.Hour))
	expired, _ := certificate(t, now.Add(-90*24*time.Hour), now.Add(-time.Second))
	own := write(t, "tls.crt", soon)
	r := start(t, config(own, ""))
	messages := func() string {
		all := ""
		for _, entry := range r.logs.All() {
			all += fmt.Sprintln(entry.Level, entry.Message, entry.ContextMap()["certificate"], entry.ContextMap()["source"])
		}
		return all
	}
	check(t, os.WriteFile(own, []byte(expired), 0o600))
	eventually(t, "the expiry is not logged", func() bool { return strings.Contains(messages(), "expired") })
	check(t, os.Remove(own))
	eventually(t, "the missing file is not logged", func() bool { return strings.Contains(messages(), "Cannot") })
	if len(r.expiries(t)) != 0 {
		t.Fatalf("a certificate that cannot be read is reported: %v", r.expiries(t))
	}
	expected := fmt.Sprintf("warn A certificate expires soon own %s\n", own) +
		fmt.Sprintf("error A certificate has expired; new connections fail own %s\n", own) +
		"warn Cannot read when a certificate expires own <nil>\n"
	if messages() != expected {
		t.Fatalf("logged\n%snot\n%s", messages(), expected)
	}
}

func TestReportsAnExpiredCertificateOfTheBackend(t *testing.T) {
	now := time.Now()
	text, key := certificate(t, now.Add(-2*time.Hour), now.Add(-time.Hour))
	pair, err := tls.X509KeyPair([]byte(text), []byte(key))
	check(t, err)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	presented := make(chan int, 100)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAnyClientCert,
		VerifyConnection: func(state tls.ConnectionState) error {
			presented <- len(state.PeerCertificates)
			return nil
		},
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	own, ownKey := certificate(t, now, now.Add(time.Hour))
	config := config(write(t, "tls.crt", own), "")
	config.Key, config.Backend = write(t, "tls.key", ownKey), server.Listener.Addr().String()
	r := start(t, config)
	expected := now.Add(-time.Hour).Unix()
	eventually(t, "the backend's certificate is not reported", func() bool { return r.expiries(t)["backend"] == expected })
	if <-presented != 1 {
		t.Fatal("the extension presents no certificate")
	}
	server.Close()
	if value := r.expiries(t)["backend"]; value != expected {
		t.Fatalf("while the backend is away, the metric is %d", value)
	}
	if r.logs.FilterMessageSnippet("expired").Len() != 1 {
		t.Fatalf("logged %v", r.logs.All())
	}
}

func TestWarnsOnceADayFromTheConfiguredTimeOn(t *testing.T) {
	w := &watcher{config: defaultConfig().(*Config)}
	from := time.Unix(0, 0)
	day := func(days float64) time.Time { return from.Add(time.Duration(days * float64(repeat))) }
	for _, life := range []struct {
		until float64
		days  []float64
		due   string
	}{
		{90, []float64{82.9, 83, 83.5, 84, 84.9, 89.5, 90, 90.1, 91}, "-s-s-sE-E"},
		// A certificate that is valid for a short time is reported in the last quarter of this time.
		{4, []float64{0, 2.9, 3, 4}, "--sE"},
	} {
		last, found := warning{}, ""
		for _, days := range life.days {
			next, due := w.due(last, validity{from, day(life.until)}, day(days))
			switch {
			case !due:
				found += "-"
				continue
			case next.expired:
				found += "E"
			default:
				found += "s"
			}
			last = next
		}
		if found != life.due {
			t.Errorf("valid for %v days: %s, not %s", life.until, found, life.due)
		}
	}
}

func TestUnderstandsTheEndpointsOfExporters(t *testing.T) {
	for endpoint, expected := range map[string]string{
		"jaeger:4317": "jaeger:4317", "https://api.example.com:443": "api.example.com:443",
		"https://api.example.com/": "api.example.com:443", "dns:///jaeger:4317": "jaeger:4317", "[::1]:4317": "[::1]:4317",
	} {
		if found := hostPort(endpoint); found != expected {
			t.Errorf("%s: %s, not %s", endpoint, found, expected)
		}
	}
}

func TestRejectsUnusableValues(t *testing.T) {
	config := &Config{Interval: 0, WarnDays: -1}
	err := config.Validate()
	if err == nil || !strings.Contains(err.Error(), "interval is 0s") || !strings.Contains(err.Error(), "warn_days is -1") {
		t.Fatalf("the error is %v", err)
	}
}
