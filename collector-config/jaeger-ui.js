// Jaeger's UI: links from traces to their log records and metrics, and the entries of the menu. Jaeger puts this file
// into the script of its page, and reads it again when it changes. jaeger-stores.yaml loads it.
//
// The links are paths on the origin of the page, where vmauth serves the pages of the stores: see vmauth.yaml.
//
// Caveats
// - Jaeger accepts a .json file too, but there a link of the type `tags` or `process` cannot contain the time of the
//   trace: Jaeger leaves out such a link without a message. Only functions can compute it.
// - Jaeger inserts this file with a replacement of a regular expression, so it must not contain a dollar sign.

function UIConfig() {
  const LOGS = "/select/vmui/#/?displayFields=service.name%2C_msg&query=";
  const METRICS = "/prometheus/vmui/#/?g0.expr=";

  // The parameters of both stores' UI for the time of a trace. `start` and `end` are in microseconds, as in Jaeger;
  // `before` and `after` are minutes to add.
  function during(start, end, before, after) {
    const seconds = Math.ceil((end - start) / 1e6) + (before + after) * 60;
    const until = new Date(end / 1e3 + after * 60e3).toISOString();
    return "&g0.range_input=" + seconds + "s&g0.end_input=" + encodeURIComponent(until) + "&g0.relative_time=none";
  }

  // The functions receive the values of `parameters`. JSON's strings are also strings of LogsQL and PromQL.
  function link(type, key, text, parameters, url) {
    return { type: type, key: key, text: text, url: { parameters: parameters, template: url } };
  }

  // The latency of a server by the value of the label, one line for each service.
  function latency(metric, label, attribute) {
    const parameters = [attribute, "trace.startTime", "trace.endTime"];
    return link("tags", attribute, "95th percentile of the duration, in seconds", parameters, function (values) {
      const buckets = metric + "_bucket{" + label + "=" + JSON.stringify(values[attribute]) + "}";
      const query = "histogram_quantile(0.95, sum by (le, service_name) (rate(" + buckets + "[5m])))";
      const time = during(values["trace.startTime"], values["trace.endTime"], 15, 5);
      return METRICS + encodeURIComponent(query) + time;
    });
  }

  return {
    menu: [
      { label: "Metrics", url: "/prometheus/vmui/", anchorTarget: "_self" },
      { label: "Dashboards", url: "/prometheus/vmui/#/dashboards", anchorTarget: "_self" },
      { label: "Logs", url: "/select/vmui/", anchorTarget: "_self" },
    ],
    linkPatterns: [
      link("traces", null, "Log records of this trace", ["traceID", "startTime", "endTime"], function (trace) {
        const query = "trace_id:=" + JSON.stringify(trace.traceID);
        return LOGS + encodeURIComponent(query) + during(trace.startTime, trace.endTime, 2, 2);
      }),
      link(
        "process",
        "service.instance.id",
        "Log records of this process at that time",
        ["service.instance.id", "trace.startTime", "trace.endTime"],
        function (values) {
          const query = '"service.instance.id":=' + JSON.stringify(values["service.instance.id"]);
          return LOGS + encodeURIComponent(query) + during(values["trace.startTime"], values["trace.endTime"], 5, 5);
        },
      ),
      latency("http_server_request_duration_seconds", "http_route", "http.route"),
      latency("rpc_server_call_duration_seconds", "rpc_method", "rpc.method"),
    ],
  };
}
