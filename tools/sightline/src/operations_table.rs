//! Formats the rates, errors and latencies of operations as a table.

use crate::stores::Operation;
use crate::waterfall::style::{Paint, Style};
use crate::waterfall::text::{duration, escape, fit, width};

/// The minimum width of the table.
const MIN_WIDTH: usize = 80;
/// The maximum width of the column of services. A longer name is shortened.
const MAX_SERVICE: usize = 22;
/// The maximum width of the column of operations.
const MAX_OPERATION: usize = 60;
/// The columns of numbers, with their widths.
const NUMBERS: [(&str, usize); 6] =
    [("REQUESTS", 8), ("RATE", 7), ("ERRORS", 7), ("P50", 7), ("P95", 7), ("P99", 7)];
/// The index of the column with the share of failed requests.
const ERRORS: usize = 2;

/// Returns the lines of the table: the titles, and a row for each operation.
#[must_use]
pub fn lines(operations: &[Operation], columns: usize, colour: bool) -> Vec<String> {
    let style = Style { colour };
    let longest = |text: fn(&Operation) -> &str| {
        operations.iter().map(|operation| width(&escape(text(operation)))).max().unwrap_or(0)
    };
    let service = longest(|operation| &operation.service).clamp("SERVICE".len(), MAX_SERVICE);
    let numbers: usize = NUMBERS.iter().map(|(_, width)| width + 1).sum();
    let rest = columns.max(MIN_WIDTH).saturating_sub(service + 1 + numbers);
    let name = longest(|operation| &operation.operation).clamp("OPERATION".len(), rest.min(MAX_OPERATION));
    let row = |first: &str, second: &str, numbers: [String; NUMBERS.len()], failed: Paint| {
        let mut line = format!("{} {}", fit(first, service), fit(second, name));
        for (index, (number, (_, width))) in numbers.into_iter().zip(NUMBERS).enumerate() {
            let number = format!("{number:>width$}");
            line.push(' ');
            line.push_str(&style.paint(&number, if index == ERRORS { failed } else { Paint::Plain }));
        }
        line
    };
    let titles = row("SERVICE", "OPERATION", NUMBERS.map(|(title, _)| title.to_owned()), Paint::Plain);
    let mut lines = vec![style.paint(&titles, Paint::Faint)];
    lines.extend(operations.iter().map(|operation| {
        let [p50, p95, p99] = [operation.p50, operation.p95, operation.p99].map(seconds);
        let numbers = [requests(operation.requests), rate(operation.rate), errors(operation), p50, p95, p99];
        let failed = if operation.errors > 0.0 { Paint::Error } else { Paint::Plain };
        row(&escape(&operation.service), &escape(&operation.operation), numbers, failed)
    }));
    lines
}

fn requests(number: f64) -> String {
    if number < 1e7 { format!("{number:.0}") } else { format!("{number:.1e}") }
}

fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 1e5 => format!("{rate:.1e}/s"),
        rate if rate >= 100.0 => format!("{rate:.0}/s"),
        rate if rate >= 10.0 => format!("{rate:.1}/s"),
        rate if rate >= 0.01 => format!("{rate:.2}/s"),
        _ => "<0.01/s".to_owned(),
    }
}

fn errors(operation: &Operation) -> String {
    if operation.errors <= 0.0 {
        return "-".to_owned();
    }
    // The two numbers come from two queries, between which a request may end.
    let percent = (operation.errors / operation.requests * 100.0).min(100.0);
    if percent < 0.1 { "<0.1 %".to_owned() } else { format!("{percent:.1} %") }
}

fn seconds(seconds: Option<f64>) -> String {
    let time = seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok());
    let nanoseconds = time.and_then(|time| u64::try_from(time.as_nanos()).ok());
    nanoseconds.map_or_else(|| "-".to_owned(), duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(service: &str, operation: &str, requests: f64, errors: f64) -> Operation {
        Operation {
            service: service.to_owned(),
            operation: operation.to_owned(),
            requests,
            rate: requests / 300.0,
            errors,
            p50: Some(0.0045),
            p95: Some(1.5),
            p99: None,
        }
    }

    #[test]
    fn prints_a_table_that_fits() {
        let operations = [
            operation("order-service", "GET /orders/{id}", 120.0, 60.0),
            operation("stock\x1b[1m", "sightline.inventory.v1.Inventory/Reserve", 1e9, 1.0),
            operation("user-service", "POST /users", 1.0, 0.0),
        ];
        let table = lines(&operations, 100, false);
        assert_eq!(
            table,
            [
                "SERVICE        OPERATION                            REQUESTS    RATE  ERRORS     P50     P95     P99",
                "order-service  GET /orders/{id}                          120  0.40/s  50.0 % 4.50 ms  1.50 s       -",
                "stock\\u{1b}[1m sightline.inventor…Inventory/Reserve    1.0e9 3.3e6/s  <0.1 % 4.50 ms  1.50 s       -",
                "user-service   POST /users                                 1 <0.01/s       - 4.50 ms  1.50 s       -",
            ]
        );
        for columns in [80, 100, 140] {
            let table = lines(&operations, columns, false);
            assert!(table.iter().all(|line| width(line) <= columns), "{table:#?}");
        }
        assert!(lines(&operations, 100, true)[1].contains("0.40/s \x1b[31m 50.0 %\x1b[0m"));
    }
}
