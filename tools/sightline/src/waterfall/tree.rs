//! The order in which spans are shown: each below its parent, by time.
//!
//! What is stored need not be a tree. A parent may be missing, a span may be stored twice, ids may be wrong so that
//! spans are each other's parents. Every span is shown exactly once whatever the input, and nothing here recurses: a
//! trace may be thousands of spans deep.

use std::collections::HashMap;

use crate::jaeger::Span;

/// Levels whose lines can be drawn. More fit no terminal, and a list of them for each span of a deep trace would grow
/// with its square.
pub(super) const MAX_LINES: usize = 32;

/// One span in its place.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) span: &'a Span,
    /// Levels below the root.
    pub(super) depth: usize,
    /// For each level above this one and below the root, down to [`MAX_LINES`]: whether the line goes on further down.
    pub(super) lines: Vec<bool>,
    pub(super) place: Place,
}

/// How a span relates to what is above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nobody's child.
    Root,
    /// Names a parent that is not stored, or that is itself below this span.
    Orphan,
    /// Child of a span above; `last` is the lowest of its siblings.
    Child {
        /// No sibling comes after.
        last: bool,
    },
}

/// All spans, parents before children, siblings by start. `caller` is a span known to be outside: its children are
/// roots, not orphans.
pub(super) fn arrange<'a>(spans: &'a [Span], caller: Option<&str>) -> Vec<Row<'a>> {
    let forest = Forest::of(spans, caller);
    let mut rows = Vec::with_capacity(spans.len());
    let mut shown = vec![false; spans.len()];
    for &root in &forest.roots {
        let parent = spans[root].parent_span_id.as_deref();
        let place = if parent.is_none() || parent == caller { Place::Root } else { Place::Orphan };
        forest.walk(root, place, &mut shown, &mut rows);
    }
    // What no root leads to goes round in a circle. Enter each circle at its earliest span.
    let mut rest: Vec<_> = (0..spans.len()).filter(|&index| !shown[index]).collect();
    rest.sort_by_key(|&index| forest.order(index));
    for index in rest {
        if !shown[index] {
            forest.walk(index, Place::Orphan, &mut shown, &mut rows);
        }
    }
    rows
}

struct Forest<'a> {
    spans: &'a [Span],
    roots: Vec<usize>,
    children: HashMap<usize, Vec<usize>>,
}

impl<'a> Forest<'a> {
    fn of(spans: &'a [Span], caller: Option<&str>) -> Self {
        let mut by_id: HashMap<&str, usize> = HashMap::with_capacity(spans.len());
        for (index, span) in spans.iter().enumerate() {
            by_id.entry(&span.span_id).or_insert(index);
        }
        let mut forest = Self { spans, roots: Vec::new(), children: HashMap::new() };
        for (index, span) in spans.iter().enumerate() {
            let parent = span.parent_span_id.as_deref().filter(|id| Some(*id) != caller);
            match parent.and_then(|id| by_id.get(id)) {
                Some(&parent) => forest.children.entry(parent).or_default().push(index),
                None => forest.roots.push(index),
            }
        }
        let order = |index: &usize| (spans[*index].start, *index);
        forest.roots.sort_by_key(order);
        for children in forest.children.values_mut() {
            children.sort_by_key(order);
        }
        forest
    }

    fn order(&self, index: usize) -> (u64, usize) {
        (self.spans[index].start, index)
    }

    /// Appends a span and all below it.
    fn walk(&self, root: usize, place: Place, shown: &mut [bool], rows: &mut Vec<Row<'a>>) {
        let mut stack = vec![(root, 0, Vec::new(), place)];
        while let Some((index, depth, lines, place)) = stack.pop() {
            if std::mem::replace(&mut shown[index], true) {
                continue;
            }
            let mut below = lines.clone();
            if let Place::Child { last } = place
                && below.len() < MAX_LINES
            {
                below.push(!last);
            }
            let children = self.children.get(&index).map_or(&[][..], Vec::as_slice);
            // A child already shown closes a circle.
            let mut last = true;
            for &child in children.iter().rev().filter(|&&child| !shown[child]) {
                stack.push((child, depth + 1, below.clone(), Place::Child { last }));
                last = false;
            }
            rows.push(Row { span: &self.spans[index], depth, lines, place });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::span;
    use super::*;

    fn names(rows: &[Row<'_>]) -> Vec<(String, usize, Place)> {
        rows.iter().map(|row| (row.span.span_id.clone(), row.depth, row.place)).collect()
    }

    const LAST: Place = Place::Child { last: true };

    #[test]
    fn children_come_below_their_parent_by_time() {
        let spans = [
            span("c2", Some("a"), 30, 10),
            span("g", Some("c1"), 12, 2),
            span("c1", Some("a"), 10, 10),
            span("a", None, 0, 100),
        ];
        let rows = names(&arrange(&spans, None));
        let expected =
            [("a", 0, Place::Root), ("c1", 1, Place::Child { last: false }), ("g", 2, LAST), ("c2", 1, LAST)];
        assert_eq!(rows, expected.map(|(id, depth, place)| (id.to_owned(), depth, place)));
    }

    #[test]
    fn orphans_stand_alone_and_a_known_caller_makes_roots() {
        let spans = [span("a", Some("gone"), 0, 100), span("b", Some("a"), 1, 1)];
        assert_eq!(arrange(&spans, None)[0].place, Place::Orphan);
        assert_eq!(arrange(&spans, Some("gone"))[0].place, Place::Root);
    }

    #[test]
    fn circles_and_doubles_are_shown_once_each() {
        let spans = [
            span("a", Some("b"), 5, 1),
            span("b", Some("a"), 4, 1),
            span("self", Some("self"), 9, 1),
            span("r", None, 0, 1),
            span("r", None, 0, 1),
            span("x", Some("r"), 1, 1),
        ];
        let rows = names(&arrange(&spans, None));
        assert_eq!(
            rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(),
            ["r", "x", "r", "b", "a", "self"]
        );
        assert_eq!(rows[3].2, Place::Orphan);
    }

    #[test]
    fn a_very_deep_trace_does_not_overflow() {
        let spans: Vec<_> = (0..20_000_u64)
            .map(|n| span(&n.to_string(), n.checked_sub(1).map(|p| p.to_string()).as_deref(), n + 1, 1))
            .collect();
        let rows = arrange(&spans, None);
        assert_eq!((rows.len(), rows[19_999].depth, rows[19_999].lines.len()), (20_000, 19_999, MAX_LINES));
    }
}
