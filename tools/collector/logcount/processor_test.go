package logcount

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCountsByServiceAndLevel(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	telemetry := componenttest.NewNopTelemetrySettings()
	telemetry.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	sink := &consumertest.LogsSink{}
	factory := NewFactory()
	set := processor.Settings{ID: component.NewID(Type), TelemetrySettings: telemetry}
	logs, err := factory.CreateLogs(t.Context(), set, factory.CreateDefaultConfig(), sink)
	check(t, err)

	data := plog.NewLogs()
	for service, severities := range map[string][]plog.SeverityNumber{
		"orders": {plog.SeverityNumberInfo, plog.SeverityNumberInfo4, plog.SeverityNumberError, plog.SeverityNumberFatal4},
		"users":  {plog.SeverityNumberInfo, plog.SeverityNumberUnspecified, 25, -1},
		"":       {plog.SeverityNumberInfo},
	} {
		group := data.ResourceLogs().AppendEmpty()
		if service != "" {
			group.Resource().Attributes().PutStr("service.name", service)
		}
		scope := group.ScopeLogs().AppendEmpty()
		for _, severity := range severities {
			scope.LogRecords().AppendEmpty().SetSeverityNumber(severity)
		}
	}
	check(t, logs.ConsumeLogs(t.Context(), data))
	if sink.LogRecordCount() != 9 {
		t.Errorf("%d records passed", sink.LogRecordCount())
	}

	var collected metricdata.ResourceMetrics
	check(t, reader.Collect(context.Background(), &collected))
	found := map[string]int64{}
	for _, scope := range collected.ScopeMetrics {
		for _, each := range scope.Metrics {
			sum, ok := each.Data.(metricdata.Sum[int64])
			if each.Name != "sightline_log_records" || !ok || !sum.IsMonotonic {
				continue
			}
			for _, point := range sum.DataPoints {
				service, _ := point.Attributes.Value("log_service")
				level, _ := point.Attributes.Value("level")
				found[service.AsString()+" "+level.AsString()] = point.Value
			}
		}
	}
	expected := map[string]int64{
		"orders info": 2, "orders error": 1, "orders fatal": 1, "users info": 1, "users unspecified": 3, " info": 1,
	}
	if !maps.Equal(found, expected) {
		t.Error(fmt.Sprint(found))
	}
}
