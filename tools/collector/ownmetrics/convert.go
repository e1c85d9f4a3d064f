package ownmetrics

import (
	"math"
	"runtime/debug"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// convert returns the metrics with the resource of the process. Names stay as they are: a store that follows
// Prometheus' rules does not add a suffix that a name already has.
func convert(
	families map[string]*dto.MetricFamily, resource pcommon.Resource, started, now time.Time,
) pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	group := metrics.ResourceMetrics().AppendEmpty()
	resource.CopyTo(group.Resource())
	scope := group.ScopeMetrics().AppendEmpty()
	scope.Scope().SetName(Type.String())
	for name, family := range families {
		// This metric contains the attributes of the resource.
		if name == "target_info" {
			continue
		}
		metric := scope.Metrics().AppendEmpty()
		metric.SetName(name)
		metric.SetDescription(family.GetHelp())
		for _, series := range family.GetMetric() {
			add(metric, family.GetType(), series, pcommon.NewTimestampFromTime(started), pcommon.NewTimestampFromTime(now))
		}
	}
	return metrics
}

func add(metric pmetric.Metric, kind dto.MetricType, series *dto.Metric, started, now pcommon.Timestamp) {
	switch kind {
	case dto.MetricType_COUNTER:
		if metric.Type() == pmetric.MetricTypeEmpty {
			metric.SetEmptySum().SetIsMonotonic(true)
			metric.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		}
		addNumber(metric.Sum().DataPoints().AppendEmpty(), series, series.GetCounter().GetValue(), started, now)
	case dto.MetricType_HISTOGRAM:
		if metric.Type() == pmetric.MetricTypeEmpty {
			metric.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		}
		addHistogram(metric.Histogram().DataPoints().AppendEmpty(), series, started, now)
	default:
		if metric.Type() == pmetric.MetricTypeEmpty {
			metric.SetEmptyGauge()
		}
		value := series.GetGauge().GetValue()
		if series.GetUntyped() != nil {
			value = series.GetUntyped().GetValue()
		}
		addNumber(metric.Gauge().DataPoints().AppendEmpty(), series, value, 0, now)
	}
}

func addNumber(point pmetric.NumberDataPoint, series *dto.Metric, value float64, started, now pcommon.Timestamp) {
	point.SetDoubleValue(value)
	point.SetStartTimestamp(started)
	point.SetTimestamp(now)
	setAttributes(point.Attributes(), series)
}

// addHistogram converts cumulative buckets to the number of values in each bucket.
func addHistogram(point pmetric.HistogramDataPoint, series *dto.Metric, started, now pcommon.Timestamp) {
	histogram := series.GetHistogram()
	point.SetCount(histogram.GetSampleCount())
	point.SetSum(histogram.GetSampleSum())
	point.SetStartTimestamp(started)
	point.SetTimestamp(now)
	setAttributes(point.Attributes(), series)
	below := uint64(0)
	for _, bucket := range histogram.GetBucket() {
		if math.IsInf(bucket.GetUpperBound(), 1) {
			continue
		}
		point.ExplicitBounds().Append(bucket.GetUpperBound())
		point.BucketCounts().Append(bucket.GetCumulativeCount() - below)
		below = bucket.GetCumulativeCount()
	}
	point.BucketCounts().Append(histogram.GetSampleCount() - below)
}

// setAttributes leaves out the labels that describe the package that created the metric.
func setAttributes(attributes pcommon.Map, series *dto.Metric) {
	for _, label := range series.GetLabel() {
		if !strings.HasPrefix(label.GetName(), "otel_scope_") {
			attributes.PutStr(label.GetName(), label.GetValue())
		}
	}
}

// addProcess adds the limit of Go's memory, if there is one.
func addProcess(metrics pmetric.Metrics, now time.Time) {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return
	}
	metric := metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().AppendEmpty()
	metric.SetName("go.memory.limit")
	metric.SetUnit("By")
	metric.SetDescription("The soft limit of the memory of the Go runtime, GOMEMLIMIT.")
	point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
	point.SetIntValue(limit)
	point.SetTimestamp(pcommon.NewTimestampFromTime(now))
}
