//! Decodes OTLP JSON, the format of Jaeger's responses and of the Collector's file exporter.
//!
//! This module does not use the types of opentelemetry-proto, because they reject a whole trace if it contains a single
//! `"NaN"`, an enum value that is given by name, or a value of an unknown type. The protobuf JSON mapping allows all of
//! these, and a tool for viewing traces should show the rest of the trace. The tool also needs only a few of the
//! fields.

use std::collections::HashMap;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use thiserror::Error;

use super::model::{Event, Kind, Link, Span, Status, Trace, Value};

/// The text is not JSON, or does not have the expected structure.
#[derive(Debug, Error)]
#[error("not JSON with the expected structure")]
pub struct DecodeError(#[from] serde_json::Error);

/// Decodes one or more JSON documents and returns the traces in them, newest first.
///
/// Each document is `{"resourceSpans": …}`, or the same object inside `{"result": …}`. A streamed response consists of
/// several documents. Fails if the text is not OTLP JSON.
pub fn decode(text: &str) -> Result<Vec<Trace>, DecodeError> {
    let mut traces: Vec<Trace> = Vec::new();
    let mut by_id: HashMap<String, usize> = HashMap::new();
    for chunk in serde_json::Deserializer::from_str(text).into_iter::<ChunkDto>() {
        for span in chunk?.into_spans() {
            let index = *by_id.entry(span.trace_id.clone()).or_insert_with(|| {
                traces.push(Trace { id: span.trace_id.clone(), spans: Vec::new() });
                traces.len() - 1
            });
            traces[index].spans.push(span);
        }
    }
    traces.sort_by_key(|trace| std::cmp::Reverse(trace.bounds().map_or(0, |(start, _)| start)));
    Ok(traces)
}

/// Merges all JSON documents in the text into one document, `{"resourceSpans": [...]}`. Keeps all fields inside
/// `resourceSpans`. Fails if the text is not JSON.
pub fn merge(text: &str) -> Result<Json, DecodeError> {
    let mut all = Vec::new();
    for chunk in serde_json::Deserializer::from_str(text).into_iter::<Json>() {
        let mut chunk = chunk?;
        if let Some(result) = chunk.get_mut("result") {
            chunk = result.take();
        }
        if let Some(Json::Array(spans)) = chunk.get_mut("resourceSpans").map(Json::take) {
            all.extend(spans);
        }
    }
    Ok(serde_json::json!({ "resourceSpans": all }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChunkDto {
    result: Option<Box<ChunkDto>>,
    #[serde(default)]
    resource_spans: Vec<ResourceSpansDto>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpansDto {
    #[serde(default)]
    resource: ResourceDto,
    #[serde(default)]
    scope_spans: Vec<ScopeSpansDto>,
}

#[derive(Deserialize, Default)]
struct ResourceDto {
    #[serde(default)]
    attributes: Vec<KeyValueDto>,
}

#[derive(Deserialize)]
struct ScopeSpansDto {
    #[serde(default)]
    scope: ScopeDto,
    #[serde(default)]
    spans: Vec<SpanDto>,
}

#[derive(Deserialize, Default)]
struct ScopeDto {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpanDto {
    trace_id: String,
    span_id: String,
    #[serde(default)]
    parent_span_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    kind: EnumDto,
    #[serde(default, deserialize_with = "number")]
    start_time_unix_nano: u64,
    #[serde(default, deserialize_with = "number")]
    end_time_unix_nano: u64,
    #[serde(default)]
    attributes: Vec<KeyValueDto>,
    #[serde(default)]
    events: Vec<EventDto>,
    #[serde(default)]
    links: Vec<LinkDto>,
    #[serde(default)]
    status: StatusDto,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventDto {
    #[serde(default, deserialize_with = "number")]
    time_unix_nano: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    attributes: Vec<KeyValueDto>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LinkDto {
    #[serde(default)]
    trace_id: String,
    #[serde(default)]
    span_id: String,
}

#[derive(Deserialize, Default)]
struct StatusDto {
    #[serde(default)]
    code: EnumDto,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct KeyValueDto {
    key: String,
    #[serde(default)]
    value: AnyValueDto,
}

/// An attribute value. At most one of the fields is set.
#[derive(Deserialize, Default)]
struct AnyValueDto {
    #[serde(rename = "stringValue")]
    string: Option<String>,
    #[serde(rename = "boolValue")]
    bool: Option<bool>,
    #[serde(rename = "intValue")]
    int: Option<Json>,
    #[serde(rename = "doubleValue")]
    double: Option<Json>,
    #[serde(rename = "bytesValue")]
    bytes: Option<String>,
    #[serde(rename = "arrayValue")]
    list: Option<ValuesDto<AnyValueDto>>,
    #[serde(rename = "kvlistValue")]
    map: Option<ValuesDto<KeyValueDto>>,
}

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct ValuesDto<T> {
    #[serde(default = "Vec::new")]
    values: Vec<T>,
}

/// A protobuf enum value, given by number or by name.
#[derive(Deserialize)]
#[serde(untagged)]
enum EnumDto {
    Number(i64),
    Name(String),
    Other(IgnoredAny),
}

impl Default for EnumDto {
    fn default() -> Self {
        Self::Number(0)
    }
}

/// Decodes a 64-bit number. The protobuf JSON mapping represents it as a string, but some programs write a number.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let json = Json::deserialize(deserializer)?;
    match &json {
        Json::String(digits) => digits.parse().map_err(serde::de::Error::custom),
        Json::Null => Ok(0),
        _ => json.as_u64().ok_or_else(|| serde::de::Error::custom("expected a time in nanoseconds")),
    }
}

impl ChunkDto {
    fn into_spans(self) -> Vec<Span> {
        let mut spans = self.result.map(|result| result.into_spans()).unwrap_or_default();
        for group in self.resource_spans {
            let resource = Arc::new(attributes(group.resource.attributes));
            let service = resource
                .iter()
                .find(|(key, _)| key == "service.name")
                .map(|(_, value)| value.to_string())
                .unwrap_or_default();
            for scope in group.scope_spans {
                spans.extend(
                    scope
                        .spans
                        .into_iter()
                        .map(|span| span.into_span(&service, &scope.scope.name, &resource)),
                );
            }
        }
        spans
    }
}

impl SpanDto {
    fn into_span(self, service: &str, scope: &str, resource: &Arc<Vec<(String, Value)>>) -> Span {
        let is_root = self.parent_span_id.bytes().all(|b| b == b'0');
        Span {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_span_id: (!is_root).then_some(self.parent_span_id),
            service: service.to_owned(),
            scope: scope.to_owned(),
            name: self.name,
            kind: kind(&self.kind),
            start: self.start_time_unix_nano,
            end: self.end_time_unix_nano,
            attributes: attributes(self.attributes),
            resource: Arc::clone(resource),
            events: self
                .events
                .into_iter()
                .map(|event| Event {
                    time: event.time_unix_nano,
                    name: event.name,
                    attributes: attributes(event.attributes),
                })
                .collect(),
            links: self
                .links
                .into_iter()
                .map(|link| Link { trace_id: link.trace_id, span_id: link.span_id })
                .collect(),
            status: match self.status.code {
                EnumDto::Number(1) => Status::Ok,
                EnumDto::Number(2) => Status::Error(self.status.message),
                EnumDto::Name(name) if name == "STATUS_CODE_OK" => Status::Ok,
                EnumDto::Name(name) if name == "STATUS_CODE_ERROR" => Status::Error(self.status.message),
                _ => Status::Unset,
            },
        }
    }
}

fn kind(kind: &EnumDto) -> Kind {
    match kind {
        EnumDto::Number(1) => Kind::Internal,
        EnumDto::Number(2) => Kind::Server,
        EnumDto::Number(3) => Kind::Client,
        EnumDto::Number(4) => Kind::Producer,
        EnumDto::Number(5) => Kind::Consumer,
        EnumDto::Name(name) => match name.as_str() {
            "SPAN_KIND_INTERNAL" => Kind::Internal,
            "SPAN_KIND_SERVER" => Kind::Server,
            "SPAN_KIND_CLIENT" => Kind::Client,
            "SPAN_KIND_PRODUCER" => Kind::Producer,
            "SPAN_KIND_CONSUMER" => Kind::Consumer,
            _ => Kind::Unspecified,
        },
        EnumDto::Number(_) | EnumDto::Other(_) => Kind::Unspecified,
    }
}

fn attributes(attributes: Vec<KeyValueDto>) -> Vec<(String, Value)> {
    attributes.into_iter().map(|KeyValueDto { key, value }| (key, value.into())).collect()
}

impl From<AnyValueDto> for Value {
    fn from(dto: AnyValueDto) -> Self {
        if let Some(text) = dto.string {
            Self::String(text)
        } else if let Some(value) = dto.bool {
            Self::Bool(value)
        } else if let Some(number) = dto.int {
            let parsed = number.as_i64().or_else(|| number.as_str().and_then(|digits| digits.parse().ok()));
            parsed.map_or_else(|| Self::String(number.to_string()), Self::Int)
        } else if let Some(number) = dto.double {
            // "NaN", "Infinity" and "-Infinity" are strings in the protobuf JSON mapping, and Rust parses them.
            let parsed = number.as_f64().or_else(|| number.as_str().and_then(|digits| digits.parse().ok()));
            parsed.map_or_else(|| Self::String(number.to_string()), Self::Double)
        } else if let Some(bytes) = dto.bytes {
            Self::Bytes(bytes)
        } else if let Some(list) = dto.list {
            Self::List(list.values.into_iter().map(Self::from).collect())
        } else if let Some(map) = dto.map {
            Self::Map(attributes(map.values))
        } else {
            Self::Empty
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shortened response from Jaeger 2.13.
    const JAEGER: &str = r#"{"result":{"resourceSpans":[{"resource":{"attributes":[
        {"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"scope":{"name":"x","version":"1"},
        "spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"GET /orders/{id}",
        "kind":2,"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000","attributes":[
        {"key":"big","value":{"intValue":"9007199254740993"}},{"key":"by","value":{"bytesValue":"AAEC"}},
        {"key":"d","value":{"doubleValue":1.5}},{"key":"nan","value":{"doubleValue":"NaN"}}],
        "events":[{"timeUnixNano":"1544712660500000000","name":"exception","attributes":[]}],
        "links":[{"traceId":"aa","spanId":"bb"}],"status":{"message":"it broke","code":2}},
        {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175","parentSpanId":"eee19b7ec3c1b174",
        "name":"child","kind":3,"startTimeUnixNano":"1544712660100000000","endTimeUnixNano":"1544712660200000000",
        "status":{}}]}]}]}}"#;

    #[test]
    fn decodes_a_jaeger_response() {
        let traces = decode(JAEGER).unwrap();
        assert_eq!(traces.len(), 1);
        let [root, child] = traces[0].spans.as_slice() else { panic!("expected two spans") };
        assert_eq!((root.service.as_str(), root.scope.as_str(), root.kind), ("shop", "x", Kind::Server));
        assert_eq!(root.parent_span_id, None);
        assert_eq!(root.status, Status::Error("it broke".to_owned()));
        assert_eq!(root.attribute("big").unwrap().as_int(), Some(9_007_199_254_740_993));
        assert!(matches!(root.attribute("nan"), Some(Value::Double(n)) if n.is_nan()));
        assert_eq!(root.events[0].name, "exception");
        assert_eq!(root.links[0].span_id, "bb");
        assert_eq!(child.parent_span_id.as_deref(), Some("eee19b7ec3c1b174"));
        assert_eq!((child.end - child.start, child.status.clone()), (100_000_000, Status::Unset));
    }

    #[test]
    fn merges_the_documents_of_a_streamed_response() {
        let chunk = |id: &str, start: u32| {
            format!(
                r#"{{"result":{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{id}","spanId":"1",
                "startTimeUnixNano":{start}}}]}}]}}]}}}}"#
            )
        };
        let text = format!("{}\n{}{}", chunk("aa", 5), chunk("bb", 7), chunk("aa", 6));
        let traces = decode(&text).unwrap();
        assert_eq!(
            traces.iter().map(|t| (t.id.as_str(), t.spans.len())).collect::<Vec<_>>(),
            [("bb", 1), ("aa", 2)]
        );
        assert_eq!(merge(&text).unwrap()["resourceSpans"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn decodes_enums_by_name_and_ignores_unknown_fields() {
        let text = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"aa","spanId":"1",
            "parentSpanId":"0000000000000000","kind":"SPAN_KIND_PRODUCER","status":{"code":"STATUS_CODE_ERROR"},
            "newField":{"a":[1]},"attributes":[{"key":"k","value":{"newValue":{"x":1}}},{"key":"l","value":
            {"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"a","value":{"boolValue":false}}]}}]}}}]}]}]}]}"#;
        let traces = decode(text).unwrap();
        let span = &traces[0].spans[0];
        assert_eq!((span.kind, span.parent_span_id.as_ref()), (Kind::Producer, None));
        assert!(span.is_error());
        assert_eq!(span.attribute("k"), Some(&Value::Empty));
        assert_eq!(span.attribute("l").unwrap().to_string(), "[{a: false}]");
        assert_eq!(span.service, "");
    }

    #[test]
    fn rejects_other_formats() {
        for text in ["<html>", "[1]", r#"{"resourceSpans":3}"#] {
            decode(text).unwrap_err();
        }
        assert!(decode("").unwrap().is_empty());
        assert!(decode("{}").unwrap().is_empty());
    }
}
